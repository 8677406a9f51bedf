"""Proves the written-out gradient of one-tap convolutions, and where it is."""

import pytest
import torch

from avsep_sb.lobes import pointwise_gradient
from avsep_sb.lobes.channels_last import channels_last, filter_frames


@pytest.fixture
def fast(monkeypatch):
    """As on a processor of Intel."""
    monkeypatch.setattr(pointwise_gradient, "blas_is_fast", lambda: True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("wants", ["all", "weight"])
def test_equals_torchs(fast, monkeypatch, bias, wants):
    torch.manual_seed(0)
    x = channels_last(torch.randn(2, 6, 11)).requires_grad_(wants == "all")
    weight = torch.randn(5, 6, 1, requires_grad=True)
    added = torch.randn(5, requires_grad=True) if bias else None
    asked = [one for one in (x, weight, added) if one is not None]
    asked = [one for one in asked if one.requires_grad]
    found = filter_frames(x, weight, added)
    assert type(found.grad_fn).__name__ == "_PointwiseBackward"
    grad = torch.randn_like(found)
    ours = torch.autograd.grad(found, asked, grad)
    monkeypatch.setattr(pointwise_gradient, "blas_is_fast", lambda: False)
    wanted = filter_frames(x, weight, added)
    assert type(wanted.grad_fn).__name__ != "_PointwiseBackward"
    assert torch.equal(found, wanted)
    for own, theirs in zip(
        ours, torch.autograd.grad(wanted, asked, grad), strict=True
    ):
        torch.testing.assert_close(own, theirs)


def test_not_for_longer_filters_or_without_gradients(fast):
    x = channels_last(torch.randn(1, 6, 11))
    for weight, stride, grad in (
        (torch.randn(5, 6, 3), 1, True),
        (torch.randn(5, 6, 1), 2, True),
        (torch.randn(5, 6, 1), 1, False),
    ):
        out = filter_frames(x, weight.requires_grad_(grad), stride=stride)
        assert type(out.grad_fn).__name__ != "_PointwiseBackward"


@pytest.mark.parametrize("maker", ["GenuineIntel", "AuthenticAMD"])
def test_processors(monkeypatch, tmp_path, maker):
    (tmp_path / "cpuinfo").write_text(f"vendor_id\t: {maker}\n")
    monkeypatch.setattr(pointwise_gradient, "PROCESSORS", tmp_path / "cpuinfo")
    mkl = torch.backends.mkl
    monkeypatch.setattr(mkl, "is_available", lambda: True)
    fast = pointwise_gradient.blas_is_fast.__wrapped__
    assert fast() is (maker == "GenuineIntel")
    monkeypatch.setattr(mkl, "is_available", lambda: False)
    assert not fast()
