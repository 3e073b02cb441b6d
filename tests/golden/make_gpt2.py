#!/usr/bin/env python3
"""make_gpt2.py [DIR] - writes the golden files of tests/golden/test_gpt2.c (default: gpt2/ beside this script).

GPT-2 by PyTorch's own layers, autograd and optimizers in float64, on weights rounded to float32 first and results
rounded to float32 last: a float32 program differs from these files by its own rounding only.  Nothing here is shared
with the program under test.  The tests read the files; only a change of what they hold wants this script (PyTorch 1.12
or newer).

Two variants: `init` as a model starts (normal, 0.02), `stress` with large weights, biases and gains, where a wrong
mask, scale, GELU or epsilon shows at once.  In each:
    model.safetensors, config.json   the weights, as a Hugging Face directory
    grads.safetensors                gradient of the mean loss, same names
    golden.json                      windows of T + 1 tokens, loss, and for each optimizer losses and gradient norms
    logits.f32                       [B, T, V], no header
"""
import json
import math
import os
import struct
import sys

if sys.argv[1:] in (['-h'], ['--help']):
    print('usage: ' + __doc__)
    sys.exit(0)
if len(sys.argv) > 2 or sys.argv[1:2] and sys.argv[1].startswith('-'):
    sys.exit(print('usage: make_gpt2.py [DIR]', file=sys.stderr) or 2)

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)

# No size is a multiple of another's or of a vector's; the window is shorter than the context.
V, CONTEXT, T, C, L, H, B = 61, 20, 16, 24, 3, 3, 3
STEPS = 10


def shapes():
    yield 'wte.weight', (V, C)
    yield 'wpe.weight', (CONTEXT, C)
    for i in range(L):
        for name, shape in (('ln_1.weight', (C,)), ('ln_1.bias', (C,)),
                            ('attn.c_attn.weight', (C, 3 * C)), ('attn.c_attn.bias', (3 * C,)),
                            ('attn.c_proj.weight', (C, C)), ('attn.c_proj.bias', (C,)),
                            ('ln_2.weight', (C,)), ('ln_2.bias', (C,)),
                            ('mlp.c_fc.weight', (C, 4 * C)), ('mlp.c_fc.bias', (4 * C,)),
                            ('mlp.c_proj.weight', (4 * C, C)), ('mlp.c_proj.bias', (C,))):
            yield 'h.%d.%s' % (i, name), shape
    yield 'ln_f.weight', (C,)
    yield 'ln_f.bias', (C,)


def draw(variant, rng):
    weights = {}
    for name, shape in shapes():
        x = rng.standard_normal(shape)
        gain = len(shape) == 1 and 'ln_' in name and name.endswith('weight')
        if variant == 'init':
            spread = 0.01 if name[:3] == 'wpe' else 0.02
            x = np.ones(shape) if gain else np.zeros(shape) if len(shape) == 1 else x * spread
        elif gain:
            x = 1 + 0.3 * x
        else:
            x = x * (0.15 if len(shape) == 1 else 0.5 if name[0] == 'w' else 0.3)
        weights[name] = torch.from_numpy(x.astype('<f4').astype('f8'))
    return weights


def logits_of(w, x):
    def norm(h, name):
        return F.layer_norm(h, (C,), w[name + '.weight'], w[name + '.bias'], 1e-5)

    def linear(h, name):
        y = torch.addmm(w[name + '.bias'], h.reshape(-1, h.shape[-1]), w[name + '.weight'])
        return y.reshape(h.shape[:-1] + (-1,))

    n, t = x.shape
    future = torch.ones(t, t, dtype=torch.bool).triu(1)
    h = F.embedding(x, w['wte.weight']) + w['wpe.weight'][:t]
    for i in range(L):
        block = 'h.%d.' % i
        qkv = linear(norm(h, block + 'ln_1'), block + 'attn.c_attn').reshape(n, t, 3, H, C // H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = torch.einsum('bhid,bhjd->bhij', q, k) / math.sqrt(C // H)
        mix = torch.softmax(scores.masked_fill(future, float('-inf')), -1)
        h = h + linear(torch.einsum('bhij,bhjd->bihd', mix, v).reshape(n, t, C), block + 'attn.c_proj')
        wide = F.gelu(linear(norm(h, block + 'ln_2'), block + 'mlp.c_fc'), approximate='tanh')
        h = h + linear(wide, block + 'mlp.c_proj')
    return norm(h, 'ln_f') @ w['wte.weight'].T


def loss_of(w, x, y):
    return F.cross_entropy(logits_of(w, x).reshape(-1, V), y.reshape(-1))


class AdamTF1(torch.optim.Optimizer):
    """Adam as TensorFlow 1 has it: "epsilon hat" of the paper's section 2, added before the bias correction."""

    def __init__(self, params, lr, betas, eps):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            b1, b2 = group['betas']
            for p in group['params']:
                s = self.state[p]
                s['t'] = s.get('t', 0) + 1
                s['m'] = torch.lerp(p.grad, s.get('m', torch.zeros_like(p)), b1)
                s['v'] = torch.lerp(p.grad.square(), s.get('v', torch.zeros_like(p)), b2)
                rate = group['lr'] * math.sqrt(1 - b2 ** s['t']) / (1 - b1 ** s['t'])
                p.sub_(rate * s['m'] / (s['v'].sqrt() + group['eps']))


RUNS = [
    dict(optimizer='adam', lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8),
    dict(optimizer='adam-tf1', lr=1e-3, beta1=0.9, beta2=0.98, eps=1e-4),
    dict(optimizer='adamw', lr=2e-3, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, clip=1.0),
    dict(optimizer='adamw', lr=2e-3, min_lr=2e-4, warmup=3, decay='cosine', beta1=0.9, beta2=0.95, eps=1e-8,
         weight_decay=0.1, clip=0.5),
    dict(optimizer='adagrad', lr=1e-2, eps=1e-8),
    dict(optimizer='sgd', lr=3e-2, min_lr=1e-3, warmup=2, decay='linear', clip=1.0),
]


def rate(run, step):
    """Of step 1, 2, ...: linear warm-up, then down to min_lr at the last step."""
    warm = run.get('warmup', 0)
    if step <= warm:
        return run['lr'] * step / warm
    if 'decay' not in run:
        return run['lr']
    done = (step - warm) / (STEPS - warm)
    fall = (1 + math.cos(math.pi * done)) / 2 if run['decay'] == 'cosine' else 1 - done
    return run['min_lr'] + (run['lr'] - run['min_lr']) * fall


def make_optimizer(run, w):
    kind, lr = run['optimizer'], run['lr']
    if kind == 'adamw':
        groups = [dict(params=[p for p in w.values() if p.dim() == 2], weight_decay=run['weight_decay']),
                  dict(params=[p for p in w.values() if p.dim() == 1], weight_decay=0.0)]
        return torch.optim.AdamW(groups, lr, (run['beta1'], run['beta2']), run['eps'])
    if kind == 'adam':
        return torch.optim.Adam(w.values(), lr, (run['beta1'], run['beta2']), run['eps'])
    if kind == 'adam-tf1':
        return AdamTF1(list(w.values()), lr, (run['beta1'], run['beta2']), run['eps'])
    if kind == 'adagrad':
        return torch.optim.Adagrad(w.values(), lr, initial_accumulator_value=0.1, eps=run['eps'])
    return torch.optim.SGD(w.values(), lr)


def train(run, weights, x, y):
    w = {name: p.clone().requires_grad_(True) for name, p in weights.items()}
    optimizer = make_optimizer(run, w)
    losses, norms = [], []
    for step in range(1, STEPS + 1):
        for group in optimizer.param_groups:
            group['lr'] = rate(run, step)
        optimizer.zero_grad()
        loss = loss_of(w, x, y)
        loss.backward()
        losses.append(loss.item())
        norms.append(torch.nn.utils.clip_grad_norm_(w.values(), run.get('clip', float('inf'))).item())
        optimizer.step()
    losses.append(loss_of(w, x, y).item())
    return dict(run, losses=losses, grad_norms=norms)


def check_gradient(weights, grads, x, y, rng):
    """Of this script itself: central differences along a random direction of each tensor."""
    for name, p in weights.items():
        direction = torch.from_numpy(rng.standard_normal(p.shape))
        ends = [loss_of({**weights, name: p + h * direction}, x, y).item() for h in (1e-5, -1e-5)]
        want = (grads[name] * direction).sum().item()
        assert abs((ends[0] - ends[1]) / 2e-5 - want) < 1e-7 + 1e-6 * abs(want), name


def write_safetensors(path, tensors):
    header, data = {'__metadata__': {'format': 'pt'}}, b''
    for name, x in tensors.items():
        raw = x.detach().numpy().astype('<f4').tobytes()
        header[name] = dict(dtype='F32', shape=list(x.shape), data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    head = json.dumps(header, separators=(',', ':')).encode()
    head += b' ' * (-len(head) % 8)
    with open(path, 'wb') as f:
        f.write(struct.pack('<Q', len(head)) + head + data)


def write_json(path, value):
    with open(path, 'w', encoding='ascii') as f:
        json.dump(value, f, indent=1)
        f.write('\n')


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), 'gpt2')
    for variant in ('init', 'stress'):
        rng = np.random.RandomState(7 if variant == 'init' else 11)
        weights = draw(variant, rng)
        ids = rng.randint(0, V, (B, T + 1))
        ids[0, :6] = ids[0, 0]  # one token often in a row, both ends of the vocabulary, as input and as target
        ids[1, 3:5] = (0, V - 1)
        ids[2, T - 1:] = (V - 1, 0)
        x, y = torch.from_numpy(ids[:, :-1]), torch.from_numpy(ids[:, 1:])
        w = {name: p.clone().requires_grad_(True) for name, p in weights.items()}
        loss = loss_of(w, x, y)
        loss.backward()
        grads = {name: p.grad for name, p in w.items()}
        with torch.no_grad():
            check_gradient(weights, grads, x, y, rng)
            logits = logits_of(weights, x)
        where = os.path.join(out, variant)
        os.makedirs(where, exist_ok=True)
        write_safetensors(os.path.join(where, 'model.safetensors'), weights)
        write_safetensors(os.path.join(where, 'grads.safetensors'), grads)
        with open(os.path.join(where, 'logits.f32'), 'wb') as f:
            f.write(logits.numpy().astype('<f4').tobytes())
        write_json(os.path.join(where, 'config.json'), dict(
            model_type='gpt2', architectures=['GPT2LMHeadModel'], activation_function='gelu_new',
            layer_norm_epsilon=1e-5, vocab_size=V, n_positions=CONTEXT, n_ctx=CONTEXT, n_embd=C, n_layer=L, n_head=H,
            tie_word_embeddings=True))
        write_json(os.path.join(where, 'golden.json'), dict(
            model=dict(layers=L, width=C, heads=H, context=CONTEXT, vocab_size=V), windows=ids.tolist(),
            loss=loss.item(), runs=[train(run, weights, x, y) for run in RUNS]))
        print('%s: loss %.9f' % (variant, loss.item()))


if __name__ == '__main__':
    main()
