import pytest

from maskhand_ros.perception.pipeline import HandPipeline


@pytest.fixture(scope='module')
def pipeline():
    return HandPipeline()
