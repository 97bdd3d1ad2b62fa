"""What goes wrong before the first picture."""


class ModelError(RuntimeError):
    """The models cannot run as asked: `what` is wrong, and the `fix` to type or to do."""

    def __init__(self, what, fix):
        super().__init__(f'{what}. Fix: {fix}')
        self.what, self.fix = what, fix
