"""The data engine: poses, images and shards of a rendered hand, with exact truth.

`poses`, `prototypes` and `anatomy` draw hand poses, `grasps` closes hands around `solids`, `renderer` and
`meshes` draw a hand, `scenes` and `backdrops` decide what an image looks like, `everyday` and what it
imports make it like everyday pictures, `negatives` shows no hand, `samples` makes crops with truth, `shards`
writes training files, `demo_clip` renders the bundled clip. Rendering needs EGL: `apt install libegl1
libgl1-mesa-dri` gives a software renderer where there is no GPU.
"""
