"""A GPU that is missing, does not start, or goes away: ONNX Runtime's own CPU stands in for it here, and
fails when the test says so."""

import threading
from concurrent.futures import ThreadPoolExecutor

import model_json
import numpy as np
import onnxruntime
import pytest

from maskhand_ros.clip import read_clip
from maskhand_ros.errors import ModelError
from maskhand_ros.network_contract import LANDMARKS, LANDMARKS_INT8
from maskhand_ros.perception.device import Device, with_options
from maskhand_ros.perception.pipeline import HandPipeline, PipelineConfig
from maskhand_ros.perception.types import Frame
from maskhand_ros.perception.weights import SHIPPED, landmarks_file

CPU, CUDA = 'CPUExecutionProvider', 'CUDAExecutionProvider'


class Gpu(onnxruntime.InferenceSession):
    """A session that says it runs on what it was asked for."""

    out_of_memory = False
    room = 100
    """Sessions for which there is memory."""

    def __init__(self, path, options, providers):
        Gpu.room -= providers[0] == CUDA
        if Gpu.room < 0 and providers[0] == CUDA:
            raise RuntimeError('CUDA failure 2: out of memory')
        super().__init__(path, options, providers=[CPU])
        self._asked = providers

    def get_providers(self):
        return self._asked

    def run(self, *args):
        if self._asked[0] == CUDA and Gpu.out_of_memory:
            raise RuntimeError('CUDA failure 2: out of memory')
        return super().run(*args)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr('onnxruntime.get_available_providers', lambda: [CUDA, CPU])
    monkeypatch.setattr('onnxruntime.preload_dlls', lambda: None, raising=False)
    monkeypatch.setattr('onnxruntime.InferenceSession', Gpu)
    monkeypatch.setattr(Gpu, 'out_of_memory', False)
    monkeypatch.setattr(Gpu, 'room', 100)
    return Gpu


@pytest.fixture(scope='module')
def rgb():
    return next(read_clip().frames())


def look(pipeline, rgb, k):
    return pipeline.process(Frame(rgb=rgb, stamp_ns=33_000_000 * k))


@pytest.mark.parametrize(
    'present, fix',
    [([CPU], 'onnxruntime-gpu'), ([CUDA, CPU], 'cuDNN')],
    ids=('not offered', 'does not start'),
)
def test_a_device_is_never_exchanged_unless_that_is_allowed(monkeypatch, present, fix):
    monkeypatch.setattr('onnxruntime.get_available_providers', lambda: present)
    monkeypatch.setattr('onnxruntime.preload_dlls', lambda: None, raising=False)
    path = SHIPPED / 'tokenizer.onnx'
    with pytest.raises(ModelError, match=f"CUDAExecutionProvider.*Fix: .*{fix}.*device to 'cpu'"):
        Device('cuda').open(path)
    device = Device('cuda', cpu_fallback=True)
    device.open(path)
    assert device.providers == [CPU] and CUDA in device.lost
    with pytest.raises(ModelError, match="'npu' is unknown"):
        Device('npu', cpu_fallback=True)


def test_the_cpu_takes_over_in_the_middle_of_a_picture(gpu, rgb, monkeypatch):
    pipeline = HandPipeline(PipelineConfig(device='cuda', allow_cpu_fallback=True))
    # What has started in floating point goes on so.
    monkeypatch.setattr('maskhand_ros.perception.weights.INT8_FLAGS', set())
    plain = HandPipeline()
    assert len(look(pipeline, rgb, 0)) == len(look(plain, rgb, 0)) == 2
    assert pipeline.device.lost is None and pipeline.device.providers[0] == CUDA
    gpu.out_of_memory = True
    for here, there in zip(look(pipeline, rgb, 1), look(plain, rgb, 1), strict=True):
        assert here.id == there.id
        np.testing.assert_allclose(here.keypoints_wrist, there.keypoints_wrist, atol=1e-6)
    assert 'out of memory' in pipeline.device.lost and pipeline.device.providers == [CPU]


def test_two_threads_that_lose_the_gpu_at_once_both_go_on(gpu, monkeypatch):
    device, both = Device('cuda', cpu_fallback=True), threading.Barrier(2)
    networks = [device.open(SHIPPED / name) for name in ('tokenizer.onnx', 'palm_detector.onnx')]

    def fail_together(session, *args):
        if session.get_providers()[0] == CPU:
            return super(Gpu, session).run(*args)
        both.wait(10)
        raise RuntimeError('CUDA failure 2: out of memory')

    monkeypatch.setattr(gpu, 'run', fail_together)
    inputs = np.zeros((2, 15, 3), np.float32), np.zeros((1, 3, 192, 192), np.float32)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(network.run, {network.inputs[0]: values})
            for network, values in zip(networks, inputs, strict=True)
        ]
        assert all(np.isfinite(value).all() for job in jobs for value in job.result(30).values())
    assert 'out of memory' in device.lost


def test_a_device_that_fails_while_the_models_load_leaves_none_behind(gpu, rgb):
    gpu.room = 3
    with pytest.raises(ModelError, match='cannot run .*out of memory.*Fix: .*free its memory'):
        HandPipeline(PipelineConfig(device='cuda'))
    gpu.room = 3
    pipeline = HandPipeline(PipelineConfig(device='cuda', allow_cpu_fallback=True))
    assert 'out of memory' in pipeline.device.lost
    gpu.out_of_memory = True  # for whatever might still be there
    assert len(look(pipeline, rgb, 0)) == 2


def test_a_device_that_fails_is_an_error_and_may_come_back(gpu, rgb):
    pipeline = HandPipeline(PipelineConfig(device='cuda'))
    assert len(look(pipeline, rgb, 0)) == 2
    gpu.out_of_memory = True
    with pytest.raises(
        ModelError, match="'cuda' failed while running.*Fix: .*allow_cpu_fallback.*out of memory"
    ):
        look(pipeline, rgb, 1)
    gpu.out_of_memory = False
    assert len(look(pipeline, rgb, 2)) == 2


def test_a_cpu_that_counts_in_8_bits_takes_the_8_bit_landmarks(gpu, weights, tmp_path):
    small, large, info = weights / LANDMARKS_INT8, weights / LANDMARKS, tmp_path / 'cpuinfo'
    model_json.edit(weights, lambda description: description['files'].pop(LANDMARKS_INT8, None))
    small.write_bytes(b'8 bits')
    for flags, device, chosen in (
        ('flags : fpu avx2 avx512f avx512_vnni', 'cpu', small),
        ('flags : fpu avx2 avx_vnni', 'cpu', small),
        ('Features : fp asimd asimddp', 'cpu', small),
        ('flags : fpu avx2 avx512f', 'cpu', large),
        ('Features : fp asimd', 'cpu', large),
        ('flags : fpu avx2 avx512_vnni', 'cuda', large),
    ):
        info.write_text(flags)
        assert landmarks_file(weights, Device(device).on_gpu, info) == chosen, flags
    assert landmarks_file(weights, False, tmp_path / 'none') == large
    with pytest.raises(ModelError, match='landmarks_int8.onnx is not listed'):
        HandPipeline(PipelineConfig(weights_dir=str(weights)))
    small.unlink()
    info.write_text('flags : avx512_vnni')
    assert landmarks_file(weights, False, info) == large
    HandPipeline(PipelineConfig(weights_dir=str(weights)))


def test_tensorrt_keeps_the_engines_of_each_network_in_its_own_folder(monkeypatch, tmp_path, weights):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    path, others = weights / 'landmarks.onnx', ['CUDAExecutionProvider', CPU]
    (first, options), *rest = with_options(['TensorrtExecutionProvider', *others], path)
    assert (first, rest) == ('TensorrtExecutionProvider', others) and options['trt_fp16_enable'] == 'True'
    folder = options['trt_engine_cache_path']
    assert folder.startswith(f'{tmp_path}/maskhand/tensorrt-')
    path.write_bytes(path.read_bytes() + b' ')
    assert with_options(['TensorrtExecutionProvider'], path)[0][1]['trt_engine_cache_path'] != folder
    assert with_options(others, path) == others


def test_hands_shared_out_among_threads_are_the_same_hands():
    crops = np.random.default_rng(1).random((3, 3, 224, 224), np.float32)
    together = Device('cpu', threads=4).open(SHIPPED / 'landmarks.onnx').run({'image': crops})
    shared = Device('cpu', threads=4, hands=2).open(SHIPPED / 'landmarks.onnx').run({'image': crops})
    assert shared.keys() == together.keys()
    for name, values in together.items():
        np.testing.assert_allclose(shared[name], values, rtol=1e-3, atol=1e-3)


def test_shares_run_beside_each_other_and_are_not_split_again():
    device, both_run = Device('cpu', threads=2, hands=2), threading.Barrier(2, timeout=20)

    def share(hands):
        both_run.wait()
        return {**hands, 'parts': np.full(len(hands['hand']), len(device.share(dict, hands)))}

    for _ in range(2):  # the second time with threads that have run a share
        parts = device.share(share, {'hand': np.arange(3)})
        assert [part['hand'].tolist() for part in parts] == [[0, 1], [2]]
        assert [part['parts'].tolist() for part in parts] == [[1, 1], [1]]
    with pytest.raises(ZeroDivisionError):
        device.share(lambda hands: 1 // 0, {'hand': np.arange(2)})
    assert len(device.share(dict, {'hand': np.arange(2)})) == 2


def test_an_error_on_the_cpu_is_no_matter_of_the_device():
    network = Device('cpu', cpu_fallback=True).open(SHIPPED / 'tokenizer.onnx')
    with pytest.raises(Exception, match='(?i)invalid'):
        network.run({'embeddings': np.zeros((1, 2, 3), np.float32)})


@pytest.mark.parametrize('newer', ('opset', 'ir_version'))
def test_a_model_newer_than_onnx_runtime_says_so(weights, newer):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(weights / 'context.onnx')
    if newer == 'opset':
        model.opset_import[0].version = 999
    else:
        model.ir_version = 999
    (weights / 'context.onnx').write_bytes(model.SerializeToString())
    model_json.list_files(weights)
    with pytest.raises(ModelError, match='context.onnx.*Fix: pip install -U onnxruntime'):
        HandPipeline(PipelineConfig(weights_dir=str(weights)))
