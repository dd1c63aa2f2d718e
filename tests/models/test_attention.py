"""The attention kernel is measured, briefly and in little memory."""

import pytest
import torch

from fewtune.models.attention import choose_attention
from fewtune.models.device import Machine


class Recorder(torch.nn.Module):
    """Answers like a trunk, and keeps the shapes it was asked with and the kernels it was given."""

    def __init__(self, slow: str) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4))
        self.slow, self.kernel = slow, ""
        self.shapes: list[tuple[int, ...]] = []
        self.given: list[str] = []

    def set_attn_implementation(self, kernel: str) -> None:
        self.kernel = kernel
        self.given.append(kernel)

    def features(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(ids.shape))
        if self.kernel == self.slow:
            torch.linalg.svd(torch.ones(300, 300))
        return self.weight * mask.sum()


@pytest.fixture
def measured():
    def measure(rows: int, tokens: int, slow: str = "sdpa") -> tuple[str, Recorder]:
        model = Recorder(slow)
        machine = Machine("cpu", bf16=False)
        return choose_attention(model, machine, rows, tokens), model

    return measure


@pytest.mark.parametrize(("slow", "faster"), [("sdpa", "eager"), ("eager", "sdpa")])
def test_the_faster_kernel_is_kept(measured, slow, faster):
    chosen, model = measured(4, 8, slow)
    assert chosen == model.given[-1] == faster


@pytest.mark.parametrize(
    ("rows", "tokens", "expected"), [(16, 20, 16), (8, 230, 2), (8, 512, 1), (8, 4000, 1)]
)
def test_few_tokens_are_measured_whatever_the_batch(measured, rows, tokens, expected):
    _, model = measured(rows, tokens)
    assert set(model.shapes) == {(expected, tokens)}


def test_a_kernel_that_does_not_fit_is_not_kept():
    model = Recorder(slow="none")
    features = model.features

    def without_room(ids, mask):
        if model.kernel == "eager":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return features(ids, mask)

    model.features = without_room
    assert choose_attention(model, Machine("cpu", bf16=False), 4, 16) == "sdpa"
    assert model.weight.grad is None
