#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What people do with PyTorch, with fixed seeds, each case's results in a file.

usage: torch_cases.py [--list] [--out DIR] [--compare DIR] [CASE...]

Prints `begin CASE` and then `CASE: ok`, `CASE: FAILED ...` or `CASE: skipped ...`.
With --compare, DIR holds the files of another run on the same GPU, and every
number has to agree with it.  Knows nothing of what libcuda.so.1 really is.
"""

import argparse
import pathlib
import sys
import time
import traceback

import numpy as np

CASES = {}


class Skip(Exception):
    """The case cannot run here; the text says why."""


def case(function):
    CASES[function.__name__] = function
    return function


def host(tensor):
    return tensor.detach().float().cpu().numpy()


def weights(model):
    """A few numbers of each parameter: enough to see that training went the same way."""
    return np.concatenate([host(p).ravel()[:: max(1, p.numel() // 64)] for p in model.parameters()])


@case
def matmul():
    a, b = torch.randn(1024, 768), torch.randn(768, 512)
    c = a.cuda() @ b.cuda()
    error = (c.cpu() - a @ b).abs().max().item()
    assert error < 1e-2, f"differs from the processor's product by {error}"
    half = a.cuda().bfloat16() @ b.cuda().bfloat16()
    return {"single": host(c), "half": host(half)}


@case
def elementwise():
    x = torch.randn(1 << 20).cuda()
    y = (x.sin() * x.exp()).cumsum(0)
    ordered, order = x.sort()
    return {"y": host(y), "sorted": host(ordered), "order": host(order[:1000]),
            "sum": host(x.sum()), "top": host(x.topk(10).values),
            "random": host(torch.rand(1000, device="cuda"))}


@case
def mlp_training():
    model = torch.nn.Sequential(torch.nn.Linear(512, 1024), torch.nn.GELU(),
                                torch.nn.Linear(1024, 512), torch.nn.ReLU(),
                                torch.nn.Linear(512, 10)).cuda()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x, y = torch.randn(256, 512).cuda(), torch.randint(0, 10, (256,)).cuda()
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0], f"it did not learn: {losses}"
    return {"losses": np.array(losses), "weights": weights(model)}


def resnet50():
    try:
        import torchvision
    except ImportError as e:
        raise Skip(f"no torchvision: {e}") from e
    return torchvision.models.resnet50().cuda()


@case
def resnet50_forward():
    model = resnet50().eval()
    with torch.no_grad():
        return {"out": host(model(torch.randn(8, 3, 224, 224).cuda()))}


@case
def resnet50_training():
    model = resnet50().train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.randn(8, 3, 224, 224).cuda(), torch.randint(0, 1000, (8,)).cuda()
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return {"losses": np.array(losses), "weights": weights(model)}


@case
def transformer():
    layer = torch.nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True, dropout=0.0)
    model = torch.nn.TransformerEncoder(layer, 4).cuda()
    x = torch.randn(4, 96, 256).cuda()
    out = model(x)
    out.square().mean().backward()
    gradients = torch.cat([p.grad.flatten()[:64] for p in model.parameters()])
    model.eval()
    with torch.no_grad():
        quiet = model(x)
    return {"out": host(out), "gradients": host(gradients), "inference": host(quiet)}


@case
def gpt2_generate():
    try:
        import transformers
    except ImportError as e:
        raise Skip(f"no transformers: {e}") from e
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config()).cuda().eval()
    ids = torch.randint(0, 50000, (1, 16)).cuda()
    with torch.no_grad():
        tokens = model.generate(ids, max_new_tokens=24, do_sample=False, pad_token_id=0)
        logits = model(ids).logits[0, -1]
    assert tokens.shape == (1, 40), tokens.shape
    return {"tokens": host(tokens), "logits": host(logits)}


@case
def compiled():
    def function(x, y):
        return (x * y).relu().sum(dim=1) + torch.sin(x).mean(dim=1)

    x, y = torch.randn(512, 1024).cuda(), torch.randn(512, 1024).cuda()
    want = function(x, y)
    try:
        got = torch.compile(function)(x, y)
    except Exception as e:  # no C compiler, no Triton: not ours to provide
        text = f"{type(e).__name__}: {e}"
        if "compiler" in text.lower() or "triton" in text.lower() and "find" in text.lower():
            raise Skip(text.splitlines()[0][:200]) from e
        raise
    assert torch.allclose(got, want, rtol=1e-4, atol=1e-3), (got - want).abs().max()
    return {"out": host(got)}


@case
def cuda_graph():
    model = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(),
                                torch.nn.Linear(256, 64)).cuda().eval()
    place = torch.zeros(32, 256, device="cuda")
    stream = torch.cuda.Stream()
    with torch.no_grad():
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                model(place)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = model(place)
        results = []
        for _ in range(5):
            x = torch.randn(32, 256)
            place.copy_(x)
            graph.replay()
            want = model(x.cuda())
            assert torch.allclose(result, want, rtol=1e-4, atol=1e-5)
            results.append(host(result))
    return {"out": np.stack(results)}


@case
def transfers():
    size = 64 << 20
    source = torch.arange(size // 4, dtype=torch.int32)
    pinned = source.pin_memory()
    assert pinned.is_pinned()
    for from_host in (source, pinned):
        device = from_host.cuda(non_blocking=True)
        assert device[-1].item() == size // 4 - 1
        assert torch.equal(device.cpu(), source)
        back = torch.empty(size // 4, dtype=torch.int32, pin_memory=True)
        back.copy_(device, non_blocking=True)
        torch.cuda.synchronize()
        assert torch.equal(back, source)
        part = device[12345:99999].cpu()
        assert torch.equal(part, source[12345:99999])
    stream, other = torch.cuda.Stream(), torch.empty(size // 4, dtype=torch.int32, device="cuda")
    with torch.cuda.stream(stream):
        other.copy_(pinned, non_blocking=True)
        other += 1
    stream.synchronize()
    assert torch.equal(other.cpu(), source + 1)
    return {"sum": host(device.double().sum())}


@case
def memory():
    before = torch.cuda.memory_allocated()
    blocks = [torch.full((1 << 20,), i, device="cuda") for i in range(64)]
    sums = torch.stack([b.sum() for b in blocks])
    del blocks
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() <= before + (1 << 20)
    try:
        torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
    except torch.OutOfMemoryError:
        pass
    else:
        raise AssertionError("a petabyte was given")
    free, total = torch.cuda.mem_get_info()
    assert 0 < free <= total
    return {"sums": host(sums)}


@case
def streams():
    x = torch.randn(512, 512).cuda()
    lanes = [torch.cuda.Stream() for _ in range(8)]
    outs = []
    torch.cuda.synchronize()
    for i, lane in enumerate(lanes):
        with torch.cuda.stream(lane):
            y = x * (i + 1)
            for _ in range(10):
                y = torch.tanh(y @ x)
            outs.append(y)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    torch.cuda.synchronize()
    end.record()
    end.synchronize()
    assert begin.elapsed_time(end) >= 0
    return {"out": host(torch.stack(outs))}


def compare(name, arrays, folder):
    path = folder / f"{name}.npz"
    if not path.exists():
        raise AssertionError(f"there is no {path} to compare with")
    with np.load(path) as other:
        if sorted(other.files) != sorted(arrays):
            raise AssertionError(f"the other run has {other.files}")
        for key, mine in arrays.items():
            scale = max(1.0, float(np.abs(other[key]).max(initial=0)))
            if mine.shape != other[key].shape:
                raise AssertionError(f"{key}: {mine.shape} instead of {other[key].shape}")
            if not np.allclose(mine, other[key], rtol=1e-3, atol=1e-4 * scale, equal_nan=True):
                off = float(np.abs(mine - other[key]).max())
                raise AssertionError(f"{key} differs from the native run's by up to {off}")


def run(name, args):
    torch.manual_seed(1234)
    began = time.monotonic()
    print(f"begin {name}", flush=True)
    try:
        arrays = {k: np.asarray(v) for k, v in CASES[name]().items()}
        torch.cuda.synchronize()
        for key, value in arrays.items():
            if not np.isfinite(value).all():
                raise AssertionError(f"{key} is not finite")
        if args.out:
            np.savez(args.out / f"{name}.npz", **arrays)
        if args.compare:
            compare(name, arrays, args.compare)
    except Skip as why:
        verdict = f"skipped {why}"
    except Exception as e:
        traceback.print_exc()
        verdict = f"FAILED {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"
    else:
        verdict = "ok"
    print(f"{name}: {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
    return not verdict.startswith("FAILED")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--compare", type=pathlib.Path)
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    if args.list:
        print("\n".join(CASES))
        return 0
    global torch
    try:
        import torch
    except ImportError as e:
        print(f"skipped: no PyTorch: {e}")
        return 77
    if not torch.cuda.is_available():
        print("no CUDA device for PyTorch")
        return 1
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name(0)}", flush=True)
    good = [run(name, args) for name in args.cases or CASES]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
