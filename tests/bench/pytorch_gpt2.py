#!/usr/bin/python3
"""GPT-2 training steps in plain PyTorch: the other side of `wabun bench step`.

The same model (GPT-2 with tied embeddings, no dropout), sizes, arithmetic and kind of work: forward and backward
of each micro-batch, gradients summed, clipped at norm 1, AdamW.  Two styles:

  tuned   for speed, as far as plain PyTorch goes: one fused GELU, the causal mask added inside the product of queries
          and keys, an allocator that keeps memory
  plain   as people write it (and as Hugging Face's GPT-2 has it): GELU by its formula, scores scaled and then masked

In both the BLAS gets its kernels for this processor, and the threads are those asked for: without that PyTorch is
several times slower.  Such settings must be there before the program starts, so it starts itself again.  What is set
in the environment already stays.

With --precision bf16 the forward pass and the loss are under torch.autocast, as its manual has it: products, and what
PyTorch counts to them, in bf16; weights, gradients and optimizer in fp32.

With --model it starts from a checkpoint of wabun and with --tokens it reads wabun's token file, so that the losses of
both can be compared step by step (compare.sh does).

Not done here: several processes, dropout, compilation (PyTorch 2 has one, Debian's 1.13 does not).
"""
import argparse
import json
import math
import os
import resource
import struct
import sys
import time

PRESETS = {  # layers, width, heads, context
    "tiny": (4, 256, 4, 256),
    "small": (12, 768, 12, 1024),
    "medium": (24, 1024, 16, 1024),
    "large": (36, 1280, 20, 1024),
    "xl": (48, 1600, 25, 1024),
}


def arguments():
    p = argparse.ArgumentParser(description="GPT-2 training steps in plain PyTorch, measured")
    p.add_argument("--preset", choices=PRESETS, default="tiny")
    p.add_argument("--layers", type=int)
    p.add_argument("--width", type=int)
    p.add_argument("--heads", type=int)
    p.add_argument("--context", type=int)
    p.add_argument("--vocab", type=int, default=20573)
    p.add_argument("--batch", type=int, default=1, help="sequences of a step")
    p.add_argument("--micro-batch", type=int, default=1, help="sequences at once")
    p.add_argument("--steps", type=int, default=3, help="measured steps, after two short ones that are not")
    p.add_argument("--threads", type=int, default=0, help="0: all cores")
    p.add_argument("--style", choices=("tuned", "plain"), default="tuned")
    p.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16: torch.autocast")
    p.add_argument("--recompute", choices=("none", "block"), default="none")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--lr", type=float, default=1e-4)
    p.add_argument("--model", help="start from this checkpoint (model.safetensors, config.json)")
    p.add_argument("--tokens", help="PREFIX of a token file (uint16): sample k is its k-th window")
    p.add_argument("--json", action="store_true", help="one object instead of a table")
    a = p.parse_args()
    if a.model:
        with open(os.path.join(a.model, "config.json"), encoding="utf-8") as f:
            c = json.load(f)
        a.preset, a.layers, a.width, a.heads = a.model, c["n_layer"], c["n_embd"], c["n_head"]
        a.context, a.vocab = c["n_positions"], c["vocab_size"]
    else:
        own = any(x is not None for x in (a.layers, a.width, a.heads))
        for name, value in zip(("layers", "width", "heads", "context"), PRESETS[a.preset]):
            if getattr(a, name) is None:
                setattr(a, name, value)
        a.preset = "own" if own else a.preset
    a.threads = a.threads or len(os.sched_getaffinity(0))
    if a.batch % a.micro_batch != 0 or a.width % a.heads != 0:
        p.error("the batch must be a multiple of the micro-batch, and the width of the heads")
    return a


def tune(a):
    """Start again with the settings that libraries read only when they are loaded."""
    if "PYTORCH_GPT2_TUNED" in os.environ:
        return
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        flags = next((line.split() for line in f if line.startswith("flags")), [])
    wide = all(x in flags for x in ("avx512f", "avx512bw", "avx512dq", "avx512vl"))
    best = {
        "PYTORCH_GPT2_TUNED": "1",
        "OMP_NUM_THREADS": str(a.threads),
        # OpenBLAS 0.3.21 takes processors newer than itself for a Prescott.
        "OPENBLAS_CORETYPE": "SkylakeX" if wide else "Haswell" if "avx2" in flags else "",
    }
    if a.style == "tuned":  # glibc gives large blocks back to the system at once: tensors would be of fresh zero pages
        best.update(MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_=str(1 << 40), MALLOC_TOP_PAD_=str(1 << 28))
        best["ATEN_CPU_CAPABILITY"] = "avx512" if wide else ""  # it takes AVX2 by itself
    for name, value in best.items():
        if value:
            os.environ.setdefault(name, value)
    os.execv(sys.executable, [sys.executable] + sys.argv)


args = arguments()
tune(args)

import torch  # noqa: E402  (behind tune)
import torch.nn.functional as F  # noqa: E402
import torch.utils.checkpoint  # noqa: E402


def shapes(a):
    """Names as Hugging Face has them; linears lie [in, out]."""
    C = a.width
    yield "wte.weight", (a.vocab, C)
    yield "wpe.weight", (a.context, C)
    for i in range(a.layers):
        h = f"h.{i}."
        for ln in ("ln_1", "ln_2"):
            yield h + ln + ".weight", (C,)
            yield h + ln + ".bias", (C,)
        for name, n, m in (("attn.c_attn", 1, 3), ("attn.c_proj", 1, 1), ("mlp.c_fc", 1, 4), ("mlp.c_proj", 4, 1)):
            yield h + name + ".weight", (n * C, m * C)
            yield h + name + ".bias", (m * C,)
    yield "ln_f.weight", (C,)
    yield "ln_f.bias", (C,)


def random_weights(a):
    torch.manual_seed(a.seed)
    w = {}
    for name, shape in shapes(a):
        if len(shape) == 2:
            std = 0.02 / math.sqrt(2 * a.layers) if name.endswith("c_proj.weight") else 0.02
            w[name] = torch.empty(shape).normal_(0, std)
        else:
            w[name] = torch.ones(shape) if name.endswith("weight") else torch.zeros(shape)
    return w


def read_safetensors(path):
    """The format by hand: length of the header (uint64), header (JSON), bytes of the tensors."""
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(n))
        w = {}
        for name, t in header.items():
            if name == "__metadata__":
                continue
            if t["dtype"] != "F32":
                sys.exit(f"{path}: {name} is {t['dtype']}, not F32")
            first, last = t["data_offsets"]
            f.seek(8 + n + first)
            x = torch.frombuffer(bytearray(f.read(last - first)), dtype=torch.float32)
            w[name.removeprefix("transformer.")] = x.reshape(t["shape"])
    return w


class GPT2:
    def __init__(self, a):
        self.a = a
        self.w = read_safetensors(os.path.join(a.model, "model.safetensors")) if a.model else random_weights(a)
        for name, shape in shapes(a):
            if tuple(self.w[name].shape) != shape:
                sys.exit(f"{name} has the shape {tuple(self.w[name].shape)}, not {shape}")
            self.w[name].requires_grad_()
        self.mask = torch.full((a.context, a.context), -math.inf).triu_(1)
        self.least = torch.tensor(torch.finfo(torch.float32).min)

    def linear(self, x, name):
        return torch.addmm(self.w[name + ".bias"], x, self.w[name + ".weight"])

    def norm(self, x, name):
        return F.layer_norm(x, (self.a.width,), self.w[name + ".weight"], self.w[name + ".bias"])

    def attention(self, x, h, B, T):
        H, D = self.a.heads, self.a.width // self.a.heads
        qkv = self.linear(x, h + "attn.c_attn").view(B, T, 3, H, D).permute(2, 0, 3, 1, 4)
        if self.a.style == "plain":
            q, k, v = qkv
            s = q @ k.transpose(-1, -2) / math.sqrt(D)
            p = torch.where(self.mask[:T, :T] == 0, s, self.least).softmax(-1)
            return self.linear((p @ v).transpose(1, 2).reshape(B * T, H * D), h + "attn.c_proj")
        q, k, v = (t.reshape(B * H, T, D) for t in qkv)
        p = torch.baddbmm(self.mask[:T, :T], q, k.transpose(1, 2), alpha=1 / math.sqrt(D)).softmax(-1)
        out = torch.bmm(p, v).view(B, H, T, D).transpose(1, 2).reshape(B * T, H * D)
        return self.linear(out, h + "attn.c_proj")

    def block(self, x, i, B, T):
        h = f"h.{i}."
        x = x + self.attention(self.norm(x, h + "ln_1"), h, B, T)
        z = self.linear(self.norm(x, h + "ln_2"), h + "mlp.c_fc")
        if self.a.style == "plain":
            z = 0.5 * z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
        else:
            z = F.gelu(z, approximate="tanh")
        return x + self.linear(z, h + "mlp.c_proj")

    def loss(self, ids):
        """Mean over all positions; ids [B, T + 1]."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.a.precision == "bf16"):
            return self.forward(ids)

    def forward(self, ids):
        B, T = ids.shape[0], ids.shape[1] - 1
        x = (F.embedding(ids[:, :-1], self.w["wte.weight"]) + self.w["wpe.weight"][:T]).view(B * T, self.a.width)
        for i in range(self.a.layers):
            if self.a.recompute == "block":
                x = torch.utils.checkpoint.checkpoint(self.block, x, i, B, T, preserve_rng_state=False)
            else:
                x = self.block(x, i, B, T)
        logits = self.norm(x, "ln_f") @ self.w["wte.weight"].t()
        return F.cross_entropy(logits.float(), ids[:, 1:].reshape(-1))


def samples(a):
    """A function of k: ids [T + 1] of sample k."""
    T = a.context
    if a.tokens:
        with open(a.tokens + ".bin", "rb") as f:
            data = torch.frombuffer(bytearray(f.read()), dtype=torch.int16).to(torch.int64) & 0xFFFF
        return lambda k: data[k * T : k * T + T + 1]
    g = torch.Generator().manual_seed(a.seed)
    return lambda k: torch.randint(a.vocab, (T + 1,), generator=g)


def step(model, optimizer, sample, first, n, micro):
    """Samples first .. first + n - 1; the loss before the update."""
    total = 0.0
    optimizer.zero_grad(set_to_none=False)
    for k in range(first, first + n, micro):
        loss = model.loss(torch.stack([sample(j) for j in range(k, k + micro)])) * (micro / n)
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.w.values(), 1.0)
    optimizer.step()
    return total


def blas():
    """What the process has loaded, with the kernels in use where it is OpenBLAS."""
    import ctypes

    with open("/proc/self/maps", encoding="utf-8") as f:
        paths = sorted({line.split()[-1] for line in f if "blas" in line.rsplit("/", 1)[-1] and ".so" in line})
    for path in paths:
        try:
            core = ctypes.CDLL(path).openblas_get_corename
        except (OSError, AttributeError):
            continue
        core.restype = ctypes.c_char_p
        return "OpenBLAS", core().decode()
    return ", ".join(os.path.basename(p) for p in paths) or "unknown", "unknown"


def main():
    a = args
    torch.set_num_threads(a.threads)
    model, sample = GPT2(a), samples(a)
    matrices = [p for p in model.w.values() if p.dim() == 2]
    vectors = [p for p in model.w.values() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=a.lr,
        betas=(0.9, 0.95),
        eps=1e-8,
    )
    if not a.tokens:  # pages are first touched, the second time in another order because the optimizer's state is there
        for i in (1, 2):
            step(model, optimizer, sample, 0, min(a.batch, i * a.micro_batch), a.micro_batch)
    seconds, losses = [], []
    for i in range(a.steps):
        start = time.perf_counter()
        losses.append(step(model, optimizer, sample, i * a.batch, a.batch, a.micro_batch))
        seconds.append(time.perf_counter() - start)
    rates = sorted(a.batch * a.context / s for s in seconds)
    median = (rates[(len(rates) - 1) // 2] + rates[len(rates) // 2]) / 2
    library, core = blas()
    r = {
        "bench": "pytorch",
        "version": torch.__version__,
        "preset": a.preset,
        "params": sum(p.numel() for p in model.w.values()),
        "vocab": a.vocab,
        "batch": a.batch,
        "micro_batch": a.micro_batch,
        "context": a.context,
        "threads": torch.get_num_threads(),
        "style": a.style,
        "precision": a.precision,
        "recompute": a.recompute,
        "tokens_per_s": median,
        "tokens_per_s_min": rates[0],
        "tokens_per_s_max": rates[-1],
        "loss": losses[-1],
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "blas": library,
        "blas_core": core,
        "aten": os.environ.get("ATEN_CPU_CAPABILITY", "default"),
        "steps": seconds,
        "losses": losses,
    }
    if a.json:
        print(json.dumps(r))
        return
    print(f"PyTorch     {r['version']}; {library} {core}, {a.style}, {a.precision}, {r['threads']} threads")
    print(f"model       {a.preset}: {r['params']:,} parameters")
    print(f"batch       {a.batch} sequences of {a.context}, {a.micro_batch} at once")
    print(f"memory      {r['peak_rss_bytes'] / 2**30:.2f} GiB")
    print(f"tokens/s    {median:10.1f}   (median of {a.steps} steps; {rates[0]:.1f} to {rates[-1]:.1f})")


main()
