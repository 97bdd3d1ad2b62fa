"""A run that starts from the shipped model: its first loss is that model's, and the result says so."""

import json

import numpy as np
import torch

from maskhand_ros.cli import main
from maskhand_ros.hand_model.numpy_hand import HandModel
from maskhand_ros.hand_model.torch_hand import TorchHand
from maskhand_ros.model.from_folder import read_model
from maskhand_ros.model.maskhand import MaskHand
from maskhand_ros.perception.weights import SHIPPED
from maskhand_ros.training.start import start_from
from maskhand_ros.training.train_tokenizer import round_trip


def test_training_goes_on_from_the_shipped_model_and_its_export_says_so(rendered, tmp_path, capsys):
    words = f'train model --data {rendered} --out {tmp_path}/run --steps 2 --batch-size 16 --device cpu'
    assert main([*words.split(), '--start-from', 'shipped']) == 0
    first, last = json.loads((tmp_path / 'run/curve.json').read_text())
    # A model with random weights is beyond 20 mm, and what the tokens of another tokenizer mean is random.
    assert first['step'] == 0 and first['val_pa_mm'] < 12 and last['step'] == 2
    checkpoint = tmp_path / 'run/checkpoint.pt'
    assert main(['export', str(checkpoint), '--out', str(tmp_path / 'mine')]) == 0
    shipped = json.loads((SHIPPED / 'model.json').read_text())
    started = json.loads((tmp_path / 'mine/model.json').read_text())['training']['started_from']
    assert started == {name: shipped[name] for name in ('name', 'version', 'training')}
    # ... and from what was exported, or from the checkpoint itself, goes on as well
    (of_folder, _), (of_run, known) = start_from(str(tmp_path / 'mine')), start_from(str(checkpoint))
    before = read_model(SHIPPED)[0].state_dict()
    for name, value in of_run.state_dict().items():
        assert torch.allclose(of_folder.state_dict()[name], value, rtol=1e-3, atol=1e-4), name
        assert torch.allclose(before[name], value, atol=0.02), name
    assert known['training']['started_from'] == started

    capsys.readouterr()
    for more, says in (
        (['--start-from', 'nowhere'], 'there is no nowhere. Fix: give'),
        (['--start-from', str(rendered)], 'no model.json in'),
        (['--start-from', str(rendered / 'val-0-0000.npz')], 'no checkpoint of `maskhand train model`'),
        (['--start-from', 'shipped', '--change', 'layers=2'], 'leave out --change'),
    ):
        assert main([*words.split(), *more]) == 1
        error = capsys.readouterr().err
        assert says in error and error.count('\n') == 1
    assert main(words.split()) == 2 and '--tokenizer --start-from' in capsys.readouterr().err


@torch.no_grad()
def test_the_encoder_of_the_shipped_tokenizer_is_the_inverse_of_its_decoder():
    """Training asks for the tokens that the encoder gives a pose."""
    from maskhand_ros.data_engine.poses import sample_poses

    model: MaskHand = read_model(SHIPPED)[0]
    poses = sample_poses(HandModel.load(), 200, np.random.default_rng(0))
    sixd = torch.from_numpy(np.concatenate([poses[..., 0], poses[..., 1]], -1).astype(np.float32))
    error = round_trip(model.tokenizer, TorchHand(), sixd)
    assert error['round_trip_mm'] < 1.2 and error['codes_used'] > 400
