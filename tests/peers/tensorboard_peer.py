"""tensorboard_peer.py RUN PAGE.html: the numbers of metrics.jsonl beside what TensorBoard's reader finds in the event files,
and beside the tables of the page.  Called by tensorboard.sh."""
import glob
import html.parser
import json
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run, page = sys.argv[1:]


def narrow(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def flat(name, value):
    """Tags and numbers of a value: seconds/data, ranks/compute/0."""
    if isinstance(value, dict):
        for key, x in value.items():
            yield from flat(name + "/" + key if name else key, x)
    elif isinstance(value, list):
        for i, x in enumerate(value):
            yield from flat(f"{name}/{i}", x)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield name, value


def alike(x, y):
    """As far as the digits of metrics.jsonl go, and those of four bytes."""
    return abs(x - y) <= 6e-4 * abs(x) or narrow(x) == y


# ---- the event files
wanted, records = {}, []
with open(run + "/metrics.jsonl") as lines:
    for line in lines:
        record = json.loads(line)
        records.append(record)
        for tag, x in flat("", record):
            if tag != "step":
                wanted[record["step"], tag] = x
reader = EventAccumulator(run, size_guidance={"scalars": 0, "tensors": 0})
reader.Reload()
found = {(e.step, tag): e.value for tag in reader.Tags()["scalars"] for e in reader.Scalars(tag)}
missing, more = wanted.keys() - found.keys(), found.keys() - wanted.keys()
wrong = [(key, wanted[key], found[key]) for key in wanted.keys() & found.keys() if not alike(wanted[key], found[key])]
exact = sum(narrow(wanted[key]) == found[key] for key in wanted.keys() & found.keys())
print(f"event files: {len(glob.glob(run + '/events.out.tfevents.*'))}, {len(found)} numbers by {EventAccumulator.__module__},"
      f" {len(wanted)} in metrics.jsonl; {exact} equal to the last of four bytes, the others to the digits of metrics.jsonl")
print(f"  missing {len(missing)}, more {len(more)}, wrong {len(wrong)}", *sorted(missing)[:3], *sorted(more)[:3], *wrong[:3])

# ---- texts
texts = {}
with open(run + "/samples.txt", "rb") as samples:
    for part in samples.read().split(b"==== step ")[1:]:
        step, _, text = part.partition(b"\n")
        texts[int(step)] = text[:-1]
drawn = {e.step: e.tensor_proto.string_val[0] for e in reader.Tensors("sample")}
print(f"texts: {len(drawn)}, {sum(texts.get(step) == text for step, text in drawn.items())} as in samples.txt, which has {len(texts)}")


# ---- the page
class Tables(html.parser.HTMLParser):
    """Rows of numbers, by the English caption of their table."""

    def __init__(self):
        super().__init__()
        self.tables, self.caption, self.row, self.within, self.english = {}, "", None, "", False

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "caption":
            self.caption = ""
        if tag == "tr":
            self.row = []
        if tag in ("caption", "td"):
            self.within = tag
            if tag == "td":
                self.row.append("")
        if tag == "span":
            self.english = attributes.get("lang") != "ja"

    def handle_endtag(self, tag):
        if tag == "tr" and self.row:
            self.tables.setdefault(self.caption, []).append(self.row)
        if tag in ("caption", "td"):
            self.within = ""

    def handle_data(self, data):
        if self.within == "caption" and self.english:
            self.caption += data
        elif self.within == "td":
            self.row[-1] += data


COLUMNS = {
    "Records of steps": ["loss", "lr", "grad_norm", "tokens_per_s", "mfu"],
    "Validations": ["val_loss", "val_bpb"],
    "Time of a step by phase, seconds": ["seconds/" + x for x in ("data", "forward", "backward", "sync", "update", "total")],
    "Ranks compared: fastest, median and slowest, seconds of a step":
        [f"ranks/{x}/{i}" for x in ("compute", "waiting") for i in range(3)] + ["memory"],
    "Checkpoints, seconds": ["save/seconds", "save/blocked"],
}
parser = Tables()
with open(page, encoding="utf-8") as file:
    parser.feed(file.read())
cells = equal = 0
for caption, columns in COLUMNS.items():
    rows = parser.tables.get(caption, [])
    for row in rows:
        for tag, cell in zip(["tokens"] + columns, row[1:], strict=True):
            cells += 1
            key = int(row[0]), tag
            # A validation's own seconds are of another record of the step than the phases are.
            equal += float(cell) == wanted.get(key) and alike(float(cell), found.get(key, float("nan")))
    print(f"page: {len(rows)} rows of \"{caption}\"")
    cells += not rows
print(f"  {equal} of {cells} cells as in metrics.jsonl and by TensorBoard's reader")
sys.exit(bool(missing or more or wrong) or drawn != texts or equal != cells or cells < 300)
