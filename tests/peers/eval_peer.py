"""eval_peer.py MODEL STRIDE < lines of {"text": ..., "ids": [...]}: bits per byte, per character, tokens and expected
calibration error of documents under a GPT-2 of Hugging Face's form, from the definition in doc/how-it-works.md, in double precision with NumPy.  STRIDE
0: half the context.  Part of eval.sh."""

import json
import struct
import sys

import numpy as np

model, stride = sys.argv[1], int(sys.argv[2])
config = json.load(open(model + "/config.json"))
L, C, H, T = (config[k] for k in ("n_layer", "n_embd", "n_head", "n_positions"))
EOT = config["eos_token_id"]
with open(model + "/model.safetensors", "rb") as f:
    (size,) = struct.unpack("<Q", f.read(8))
    header, data = json.loads(f.read(size)), f.read()
P = {name: np.frombuffer(data[h["data_offsets"][0]:h["data_offsets"][1]], "<f4").reshape(h["shape"]).astype(np.float64)
     for name, h in header.items() if name != "__metadata__"}


def norm(x, name):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + config.get("layer_norm_epsilon", 1e-5)) * P[name + ".weight"] + P[name + ".bias"]


def linear(x, name):
    return x @ P[name + ".weight"] + P[name + ".bias"]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def logprobs(ids):
    """Of ids[1:], each given those before it, natural log-probabilities; the highest ones in their places; whether theirs are."""
    n = len(ids) - 1
    x = P["wte.weight"][ids[:-1]] + P["wpe.weight"][:n]
    mask = np.triu(np.full((n, n), -np.inf), 1)
    for layer in range(L):
        h = f"h.{layer}."
        q, k, v = np.split(linear(norm(x, h + "ln_1"), h + "attn.c_attn"), 3, -1)
        heads = []
        for a, b, c in zip(*(np.split(m, H, -1) for m in (q, k, v))):
            s = a @ b.T / np.sqrt(C // H) + mask
            w = np.exp(s - s.max(-1, keepdims=True))
            heads.append(w / w.sum(-1, keepdims=True) @ c)
        x = x + linear(np.concatenate(heads, -1), h + "attn.c_proj")
        x = x + linear(gelu(linear(norm(x, h + "ln_2"), h + "mlp.c_fc")), h + "mlp.c_proj")
    z = norm(x, "ln_f") @ P["wte.weight"].T
    z = z - z.max(-1, keepdims=True)
    z = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return z[np.arange(n), ids[1:]], z.max(-1), z.argmax(-1) == ids[1:]


bits = characters = octets = tokens = 0
confidence, right = [], []
for line in sys.stdin:
    document = json.loads(line)
    ids = [EOT] + document["ids"] + [EOT]
    step, done = stride or T - T // 2, 0
    while done < len(ids) - 1:
        begin = max(0, done - (T - step)) if done else 0
        window, highest, hit = (x[done - begin:] for x in logprobs(ids[begin:begin + T + 1]))
        bits -= window.sum() / np.log(2)
        confidence.extend(np.exp(highest))
        right.extend(hit)
        done = min(begin + T, len(ids) - 1)
    tokens += len(ids) - 1
    characters += len(document["text"])
    octets += len(document["text"].encode())
confidence, right = np.array(confidence), np.array(right, float)
which = np.digitize(confidence, np.arange(1, 15) / 15, right=True)
ece = sum(abs(right[which == m].mean() - confidence[which == m].mean()) * (which == m).mean() for m in set(which))
print(json.dumps({"error": ece, "bits_per_byte": bits / octets, "bits_per_character": bits / characters, "tokens": tokens,
                  "perplexity_per_token": 2 ** (bits / tokens)}))
