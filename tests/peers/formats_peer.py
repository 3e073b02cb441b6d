"""Writes and reads files with PyTorch and NumPy; run by formats.sh."""
import collections, json, os, shutil, struct, sys


def tensors(directory):
    import numpy, torch
    data = open(directory + "/model.safetensors", "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    header.pop("__metadata__", None)
    state = collections.OrderedDict()
    for name, t in header.items():
        begin, end = t["data_offsets"]
        state[name] = torch.from_numpy(numpy.frombuffer(body[begin:end], "<f4").reshape(t["shape"]).copy())
    return state


def write_torch(source, out):
    import torch
    state = tensors(source)

    def place(kind):
        os.makedirs(f"{out}/{kind}")
        for name in ("config.json", "wabun-tokenizer.json"):
            shutil.copy(f"{source}/{name}", f"{out}/{kind}")
        return f"{out}/{kind}/pytorch_model.bin"

    def save(kind, values, **how):
        torch.save(values, place(kind), **how)

    full = collections.OrderedDict(("transformer." + name, t) for name, t in state.items())
    full["transformer.h.0.attn.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
    full["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    full["lm_head.weight"] = full["transformer.wte.weight"]
    full._metadata = collections.OrderedDict([("", {"version": 1})])
    save("plain", state)
    save("hugging-face", full)
    save("transposed", {name: t.t().contiguous().t() if t.dim() == 2 else t for name, t in state.items()})
    flat, views, at = torch.cat([t.reshape(-1) for t in state.values()]), {}, 0
    for name, t in state.items():
        views[name] = flat[at:at + t.numel()].view(t.shape)
        at += t.numel()
    save("one-storage", views)
    save("parameters", {name: torch.nn.Parameter(t) for name, t in state.items()})
    save("double", {name: t.double() for name, t in state.items()})
    save("f16", {name: t.half() for name, t in state.items()})
    save("bf16", {name: t.bfloat16() for name, t in state.items()})
    save("old", state, _use_new_zipfile_serialization=False)
    save("training", {"model": state, "loss": 1.5})
    save("untied", dict(full, **{"lm_head.weight": state["wte.weight"] + 1}))
    path, names, files = place("sharded"), list(state), {}
    for i, part in enumerate((names[:9], names[9:])):
        file = f"pytorch_model-{i + 1:05d}-of-00002.bin"
        torch.save({name: state[name] for name in part}, os.path.dirname(path) + "/" + file)
        files.update((name, file) for name in part)
    with open(path + ".index.json", "w") as f:
        json.dump({"metadata": {}, "weight_map": files}, f)

    class Calls:
        def __reduce__(self):
            return os.mkdir, (out + "/calls/called",)

    save("calls", dict(state, more=Calls()))


def write_llmc_tokens(prefix, out):
    """A file of llm.c's tokens with the stream of a token file as it is."""
    data = open(prefix + ".bin", "rb").read()
    with open(out, "wb") as f:
        f.write(struct.pack("<256i", 20240520, 1, len(data) // 2, *[0] * 253) + data)


def check_loss(metrics, out):
    ours = [json.loads(line)["loss"] for line in open(metrics) if '"loss"' in line][0]
    theirs = [float(line.split()[2]) for line in open(out) if line.startswith("val loss")][0]
    print(f"wabun {ours:.6f}, llm.c {theirs:.6f}")
    sys.exit(abs(ours - theirs) > 1e-4)


def check_ids(prefix, path):
    import numpy
    ours = numpy.fromfile(prefix + ".bin", "<u2")
    with numpy.load(path) as arrays:
        theirs = numpy.concatenate([arrays[name] for name in arrays.files])
    print(f"{len(ours)} ids, {len(theirs)} in the arrays, of {theirs.dtype}")
    sys.exit(not numpy.array_equal(ours, theirs))


def write_npz(prefix, out):
    import numpy
    ids = numpy.fromfile(prefix + ".bin", "<u2")
    os.makedirs(out)
    parts = numpy.array_split(ids, 7)
    numpy.savez(out + "/stored", *[part.astype("i8") for part in parts])
    numpy.savez_compressed(out + "/deflated", *parts)
    numpy.savez_compressed(out + "/big-endian", *[part.astype(">i4") for part in parts])
    numpy.savez_compressed(out + "/real", ids.astype("f4"))
    numpy.savez_compressed(out + "/negative", -ids.astype("i4"))
    numpy.savez_compressed(out + "/columns", numpy.asfortranarray(ids[:8].reshape(2, 4)))


WHAT = {"ids": check_ids, "npz": write_npz, "torch": write_torch, "llmc_tokens": write_llmc_tokens, "loss": check_loss}
WHAT[sys.argv[1]](*sys.argv[2:])
