"""Runs Hugging Face transformers on a model; called by formats.sh.

TRANSFORMERS is the folder that has the package, `src` of a copy of https://github.com/huggingface/transformers.  Of the
packages that it wants at once, those that are not installed have stand-ins here: safetensors, a reader and a writer of
its files, and huggingface_hub, which does nothing and is enough for 4.28; later ones need the real one, for example from
PYTHONPATH, `src` of a copy of https://github.com/huggingface/huggingface_hub (0.24.6 is known to do for 4.40 to 4.45).
Otherwise PyTorch, NumPy and the usual pure ones (filelock, fsspec, packaging, regex, requests, tqdm, yaml) are enough.
"""
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import re
import struct
import sys
import types

sys.path.insert(0, os.environ["TRANSFORMERS"])
os.environ["TRANSFORMERS_OFFLINE"] = "1"
import numpy
import torch


# ---- stand-ins

def put_module(name, **members):
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__path__ = []
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


TYPES = {"F32": ("<f4", torch.float32), "F16": ("<f2", torch.float16), "F64": ("<f8", torch.float64), "BF16": ("<i2", torch.bfloat16),
         "U8": ("u1", torch.uint8), "BOOL": ("?", torch.bool)}


class SafeOpen:
    def __init__(self, path, framework="pt", device="cpu"):
        self.data = open(path, "rb").read()
        n = struct.unpack("<Q", self.data[:8])[0]
        self.header, self.body = json.loads(self.data[8:8 + n]), self.data[8 + n:]
        self.about = self.header.pop("__metadata__", None)

    __enter__ = lambda self: self
    __exit__ = lambda self, *why: None
    metadata = lambda self: self.about
    keys = lambda self: list(self.header)

    def get_tensor(self, name):
        one = self.header[name]
        kind, dtype = TYPES[one["dtype"]]
        numbers = torch.from_numpy(numpy.frombuffer(self.body[slice(*one["data_offsets"])], kind).copy())
        return (numbers.view(dtype) if dtype is torch.bfloat16 else numbers).reshape(one["shape"])


def load_file(path, device="cpu"):
    with SafeOpen(path) as f:
        return {name: f.get_tensor(name) for name in f.keys()}


def save_file(tensors, path, metadata=None):
    header, parts, at = {"__metadata__": metadata} if metadata else {}, [], 0
    for name, tensor in tensors.items():
        kind = next(kind for kind, (_, dtype) in TYPES.items() if dtype is tensor.dtype)
        raw = tensor.contiguous().reshape(-1).view(torch.int16 if kind == "BF16" else tensor.dtype).numpy().tobytes()
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        parts.append(raw)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


installed_version = importlib.metadata.version


def version(name):
    """That of a copy or a stand-in, too."""
    try:
        return installed_version(name)
    except importlib.metadata.PackageNotFoundError:
        try:
            return importlib.import_module(name.replace("-", "_")).__version__
        except (ImportError, AttributeError):
            raise importlib.metadata.PackageNotFoundError(name) from None


def anything(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (Exception,), {})


def stand_in():
    importlib.metadata.version = version
    if importlib.util.find_spec("safetensors") is None:
        storage = {"storage_ptr": lambda tensor: tensor.storage().data_ptr(), "storage_size": lambda tensor: tensor.storage().nbytes()}
        put_module("safetensors", safe_open=SafeOpen, __version__="0.4.5",
                   torch=put_module("safetensors.torch", load_file=load_file, save_file=save_file, **storage))
    if importlib.util.find_spec("huggingface_hub") is None:
        for name in ("huggingface_hub", "huggingface_hub.utils", "huggingface_hub.file_download", "huggingface_hub.constants"):
            put_module(name, __getattr__=anything, __version__="1", REGEX_COMMIT_HASH=re.compile("^[0-9a-f]{40}$"))
    if importlib.util.find_spec("tokenizers") is None:
        for name in ("convert_slow_tokenizer", "modeling_gguf_pytorch_utils"):  # they want it, but nothing here wants them
            put_module("transformers." + name, __getattr__=anything)
        from transformers.tokenization_utils_base import AddedToken
        AddedToken.__hash__ = lambda token: hash(token.content)  # has none where transformers stands in for tokenizers


# ---- what formats.sh asks for

def score(directory, scores, rows):
    """Log-probabilities of ids between two end tokens, beside those of `wabun score --tokens --digits 9`."""
    from transformers import AutoModelForCausalLM, GPT2LMHeadModel
    model = AutoModelForCausalLM.from_pretrained(directory).eval()
    if type(model) is not GPT2LMHeadModel:
        sys.exit(f"{directory}: AutoModelForCausalLM takes it for a {type(model)}")
    ours = [float(line.rstrip("\n").rsplit("\t", 1)[1]) for line in open(scores, encoding="latin-1", newline="\n")]
    end, at, worst, tokens = model.config.eos_token_id, 0, 0.0, 0
    for line in open(rows, encoding="utf-8"):
        ids = [end] + json.loads(line)["ids"] + [end]
        with torch.no_grad():
            chances = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        for i, token in enumerate(ids[1:]):
            worst = max(worst, abs(chances[i, token].item() - ours[at]))
            at, tokens = at + 1, tokens + 1
        at += 1  # the total of the line
    print(f"{type(model).__module__}, {tokens} tokens: log-probabilities differ by {worst:.2e} at most")
    return tokens > 0 and worst < 2e-5


def save(directory, out):
    """The model as transformers writes it, in all of its forms and in the numbers that it has."""
    from transformers import GPT2LMHeadModel
    model = GPT2LMHeadModel.from_pretrained(directory, torch_dtype="auto")
    model.save_pretrained(out + "/torch", safe_serialization=False)
    model.save_pretrained(out + "/safetensors", safe_serialization=True)
    model.save_pretrained(out + "/sharded", safe_serialization=True, max_shard_size="100KB")
    print(model.dtype, *sorted(os.listdir(out + "/sharded")))
    return True


def generate(directory, prompt, count):
    """Ids after a prompt, greedily."""
    from transformers import GPT2LMHeadModel
    model = GPT2LMHeadModel.from_pretrained(directory).eval()
    ids = json.loads(open(prompt, encoding="utf-8").readline())["ids"]
    all = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=int(count), pad_token_id=model.config.eos_token_id)
    print(json.dumps({"ids": all[0].tolist()[len(ids):]}))
    return True


def tokenize(directory, rows):
    """Ids of the class that an export brings along, with and without clean=True, and of a batch with padding."""
    from transformers import AutoTokenizer
    want = [json.loads(line) for line in open(rows, encoding="utf-8")]
    load = lambda **how: AutoTokenizer.from_pretrained(directory, trust_remote_code=True, **how)
    plain, cleaning = load(), load(clean=True) if any(row["clean"] for row in want) else None
    got = [(cleaning if row["clean"] else plain)(row["text"])["input_ids"] for row in want]
    same = sum(a == row["ids"] for a, row in zip(got, want))
    back = sum(plain.decode(row["ids"], clean_up_tokenization_spaces=False) == row["decoded"] for row in want)
    some = [row for row in want if not row["clean"]][:16]
    batch = plain([row["text"] for row in some], padding=True, return_tensors="pt")
    padded = all(ids[mask == 1].tolist() == row["ids"] for ids, mask, row in zip(batch["input_ids"], batch["attention_mask"], some))
    cleaned = sum(row["clean"] for row in want)
    print(f"{type(plain).__name__}: ids of {same} of {len(want)} lines, {cleaned} of them cleaned; texts of {back}")
    return same == back == len(want) > 0 and padded


stand_in()
sys.exit(not {"score": score, "save": save, "generate": generate, "tokenize": tokenize}[sys.argv[1]](*sys.argv[2:]))
