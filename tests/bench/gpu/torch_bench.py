#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Times of PyTorch workloads, a JSON object in a line for each: {"name", "ms"}.

usage: torch_bench.py [NAME...]   Native or not is libcuda.so.1's matter.
"""

import json
import sys
import time

import torch


def median(function, repeats):
    for _ in range(3):
        function()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    times.sort()
    return times[len(times) // 2] * 1e3


def mlp():
    model = torch.nn.Sequential(torch.nn.Linear(1024, 4096), torch.nn.GELU(),
                                torch.nn.Linear(4096, 1024)).cuda()
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4)
    x = torch.randn(64, 1024, device="cuda")

    def step():
        optimiser.zero_grad()
        model(x).square().mean().backward()
        optimiser.step()
    return step, 50


def resnet50():
    import torchvision
    model = torchvision.models.resnet50().cuda().eval()
    x = torch.randn(8, 3, 224, 224, device="cuda")

    def forward():
        with torch.no_grad():
            model(x)
    return forward, 30


def transformer():
    layer = torch.nn.TransformerEncoderLayer(512, 8, 2048, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 6).cuda().eval()
    x = torch.randn(4, 128, 512, device="cuda")

    def forward():
        with torch.no_grad():
            model(x)
    return forward, 50


def gpt2():
    import transformers
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config()).cuda().eval()
    ids = torch.randint(0, 50000, (1, 16), device="cuda")

    def generate():
        with torch.no_grad():
            model.generate(ids, max_new_tokens=32, do_sample=False, pad_token_id=0)
    return generate, 7


WORKLOADS = {"mlp": mlp, "resnet50": resnet50, "transformer": transformer, "gpt2": gpt2}


def main():
    for name in sys.argv[1:] or WORKLOADS:
        torch.manual_seed(1)
        function, repeats = WORKLOADS[name]()
        print(json.dumps({"name": name, "ms": median(function, repeats)}), flush=True)


if __name__ == "__main__":
    main()
