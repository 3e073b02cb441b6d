#!/usr/bin/env python3
"""learn.py - how fast do optimizers learn?  The same small model, the same tokens in the same order, each optimizer at
the best learning rate of a coarse search; three seeds; validation bits per byte against steps.

    tests/bench/learn.py --corpus DIR --vocab DIR --out DIR [--doc DIR] [OPTION]... [STAGE]...

STAGE, in this order; all of them but `time` when none is named:
    text     documents of the corpus into training text and validation text (never both), as .jsonl
    encode   token files by `wabun encode`
    tune     learning rates, short runs of seed 1: rates a factor of 2 apart; more while the best one is the outermost.
             A run whose numbers go bad has lost
    seeds    the best rate, long runs of three seeds
    check    long runs of the base at its second best rate: where they end lower on average, they count instead
    short    the challenger again with a schedule that ends after --short of the steps
    choices  variants of the challenger at its best rate, short runs of seed 1
    time     seconds of a step, alone; run this stage by itself on an idle machine
    report   OUT/report.md, and curves as DOC/*.svg

What has been run is not run again: stop it at any time, start it again.  Only the standard library of Python 3.
The corpus: .txt files in DIR and below (documents in one file are parted by lines `<|endoftext|>`) and .jsonl files.
Each directory right below DIR gives the same share of the validation text.
"""
import argparse
import concurrent.futures
import hashlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time

# About 5 million parameters each, with the vocabulary: 4,870,400 and, with 20,573 ids, 5,188,640.
MODELS = {
    'byte': {'layers': 6, 'width': 256, 'heads': 4},
    'ja-bpe': {'layers': 6, 'width': 160, 'heads': 4},
}
STEPS = {'byte': 480, 'ja-bpe': 320}
SHORT = {'byte': 0.3334, 'ja-bpe': 0.5}
CONTEXT, BATCH = 256, 8
OPTIMIZERS = {
    'adamw': {'optimizer': 'adamw'},
    'muon': {'optimizer': 'muon'},
}
# Variants of muon: what is measured before it becomes a default.
CHOICES = {
    'qkv-together': {'muon_split_qkv': False},
    'no-nesterov': {'muon_nesterov': False},
}
RATES = {'adamw': [5e-4, 1e-3, 2e-3], 'muon': [2e-3, 4e-3]}  # where the search begins
BASE, CHALLENGER = 'adamw', 'muon'
STAGES = ['text', 'encode', 'tune', 'seeds', 'check', 'short', 'choices', 'report']


def say(text):
    print(time.strftime('%H:%M:%S'), text, flush=True)


# ---- text -----------------------------------------------------------------------------------------------------------

def documents(path):
    with open(path, encoding='utf-8') as f:
        if path.endswith('.jsonl'):
            for line in f:
                if line.strip():
                    yield json.loads(line)['text']
            return
        lines = []
        for line in f:
            if line.strip() == '<|endoftext|>':
                yield ''.join(lines)
                lines = []
            else:
                lines.append(line)
        yield ''.join(lines)


def group_files(corpus):
    """{directory right below the corpus: its files}"""
    groups = {}
    for top, dirs, names in os.walk(corpus):
        dirs.sort()
        for name in sorted(names):
            path = os.path.join(top, name)
            part = os.path.relpath(path, corpus).split(os.sep)
            if name.endswith(('.txt', '.jsonl')):
                groups.setdefault(part[0] if len(part) > 1 else '.', []).append(path)
    return groups


def piece(text, most):
    """At most so many bytes of whole lines, from a third of the document on."""
    lines = text.splitlines(keepends=True)
    at, size, start = 0, 0, len(text) // 3
    out = []
    for line in lines:
        at += len(line)
        if at <= start and len(text.encode()) > most:
            continue
        n = len(line.encode())
        if size + n > most:
            break
        out.append(line)
        size += n
    return ''.join(out)


def split_text(o):
    """Which side a document is on depends on its text alone, so copies of a document never get apart."""
    train, valid = o.file('text', 'train.jsonl'), o.file('text', 'valid.jsonl')
    if os.path.exists(train) and os.path.exists(valid):
        return
    os.makedirs(o.file('text'), exist_ok=True)
    groups, counts, held = group_files(o.corpus), {}, {}
    if not groups:
        sys.exit(f'learn: no .txt and no .jsonl file in {o.corpus}')
    with open(train + '.new', 'w', encoding='utf-8') as to_train:
        for group, files in groups.items():
            counts[group] = [0, 0, 0, 0]
            for path in files:
                for text in documents(path):
                    if not text.strip():
                        continue
                    key = hashlib.sha256(text.encode()).hexdigest()
                    out = int(key, 16) % o.hold == 0
                    counts[group][out] += 1
                    if out:
                        held.setdefault(group, {})[key] = text
                    else:
                        counts[group][2] += len(text.encode())
                        to_train.write(json.dumps({'text': text}, ensure_ascii=False) + '\n')
    with open(valid + '.new', 'w', encoding='utf-8') as to_valid:
        for group, docs in held.items():
            left = o.valid_bytes // len(held)
            most = max(2048, -(-left // len(docs)))
            for key in sorted(docs):
                text = piece(docs[key], min(most, left))
                if text.strip() and left > 256:
                    left -= len(text.encode())
                    counts[group][3] += len(text.encode())
                    to_valid.write(json.dumps({'text': text}, ensure_ascii=False) + '\n')
    if not held:
        sys.exit('learn: no document for validation: the corpus is too small, or set --hold lower')
    for group, (a, b, c, d) in counts.items():
        say(f'{group}: {a} documents ({c} bytes) to train on, {b} held back, of which {d} bytes are validation text')
    with open(o.file('text', 'counts.json'), 'w') as f:
        json.dump(counts, f)
    os.replace(train + '.new', train)
    os.replace(valid + '.new', valid)


def encode(o):
    for name in o.tokenizers:
        for side in 'train', 'valid':
            prefix = o.file('tok', name, side)
            if not os.path.exists(prefix + '.idx'):
                say(f'encoding {name} {side}')
                subprocess.run([o.wabun, 'encode', '--tokenizer', o.tokenizer(name), '-o', prefix,
                                o.file('text', side + '.jsonl')], check=True, env=o.env, stdin=subprocess.DEVNULL)


# ---- runs -----------------------------------------------------------------------------------------------------------

def config(o, run, tokenizer, train, rate, seed, steps, every, log):
    model = dict(MODELS[tokenizer], context=CONTEXT)
    train = dict({'global_batch': BATCH, 'steps': steps, 'lr': rate, 'min_lr': rate * o.floor,
                  'warmup': min(o.warmup, steps), 'decay': 'cosine', 'weight_decay': 0.1}, **train)

    def lines(group):
        return ' '.join(f'{k} = {json.dumps(v)};' for k, v in group.items())
    return f'''run = "{run}";
seed = {seed};
tokenizer = "{o.tokenizer(tokenizer)}";
model = {{ {lines(model)} }};
data = {{ train = "{o.file('tok', tokenizer, 'train')}"; validation = "{o.file('tok', tokenizer, 'valid')}"; }};
parallel = {{ micro_batch = {BATCH}; threads = {o.threads}; }};
train = {{ {lines(train)} }};
checkpoint = {{ every = 0; }};
validation = {{ every = {every}; samples = 0; }};
log = {{ every = {log}; }};
'''


def metrics(run):
    try:
        with open(os.path.join(run, 'metrics.jsonl')) as f:
            return [json.loads(line) for line in f]
    except (FileNotFoundError, json.JSONDecodeError):
        return []


def curve(run):
    return [(m['step'], m['val_bpb']) for m in metrics(run) if 'val_bpb' in m]


class Runs:
    """At most o.jobs at a time."""

    def __init__(self, o):
        self.o = o
        self.slots = threading.Semaphore(o.jobs)

    def __call__(self, name, tokenizer, train, rate, seed, steps, every=None, log=None):
        """The final bits per byte; infinity where numbers went bad."""
        o, run = self.o, self.o.file('runs', tokenizer, name)
        bad = os.path.join(run, 'bad')
        with self.slots:
            if os.path.exists(bad):
                return math.inf
            points = curve(run)
            if points and points[-1][0] == steps:
                return points[-1][1]
            shutil.rmtree(run, ignore_errors=True)
            os.makedirs(run)
            path = os.path.join(run, 'learn.cfg')
            with open(path, 'w') as f:
                f.write(config(o, run, tokenizer, train, rate, seed, steps, every or steps, log or max(1, steps // 16)))
            start = time.time()
            with open(os.path.join(run, 'log'), 'w') as log_file:
                code = subprocess.run([o.wabun, 'train', path], stdout=log_file, stderr=subprocess.STDOUT,
                                      stdin=subprocess.DEVNULL, env=o.env).returncode
            points = curve(run)
            final = points[-1][1] if points and points[-1][0] == steps else math.inf
            if code not in (0, 6):
                sys.exit(f'learn: {run} ended with exit code {code}, see {run}/log')
            if code == 6 or not math.isfinite(final):
                open(bad, 'w').close()
                final = math.inf
            for entry in os.listdir(run):  # the models are not needed
                if entry.startswith('step-'):
                    shutil.rmtree(os.path.join(run, entry))
            say(f'{tokenizer} {name}: {final:.4f} bits per byte, {time.time() - start:.0f} s')
            return final


def together(calls):
    """Results of functions, all at once; the first error ends the program."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(calls))) as pool:
        futures = [pool.submit(f) for f in calls]
        for f in concurrent.futures.as_completed(futures):
            if f.exception() is not None:
                say(f'{f.exception()}')
                os._exit(1)
        return [f.result() for f in futures]


def tune_name(optimizer, rate):
    return f'tune-{optimizer}-{rate:g}'


def tuned(o, tokenizer, optimizer):
    """{rate: final bits per byte} of the runs that there are."""
    found, top, head = {}, o.file('runs', tokenizer), f'tune-{optimizer}-'
    for name in os.listdir(top) if os.path.isdir(top) else []:
        if name.startswith(head):
            points = curve(os.path.join(top, name))
            done = points and points[-1][0] == o.tune_steps
            if done or os.path.exists(os.path.join(top, name, 'bad')):
                found[float(name[len(head):])] = points[-1][1] if done else math.inf
    return found


def best_rate(found):
    return min(found, key=lambda r: (found[r], r)) if found else None


def tune(o, runs, tokenizer, optimizer):
    def one(rate):
        return lambda: runs(tune_name(optimizer, rate), tokenizer, OPTIMIZERS[optimizer], rate, 1, o.tune_steps)
    rates = sorted(RATES[optimizer])
    together([one(r) for r in rates])
    while True:
        found = tuned(o, tokenizer, optimizer)
        best = best_rate(found)
        if not math.isfinite(found[best]):
            more = min(found) / 2
        elif best == max(found):
            more = best * 2
        elif best == min(found):
            more = best / 2
        else:
            return best
        if len(found) >= o.most_rates:
            say(f'{tokenizer} {optimizer}: {best:g} is the outermost of {len(found)} rates; no more are tried')
            return best
        one(more)()


def train_all(o, stages):
    runs = Runs(o)

    def pair(tokenizer, optimizer):
        calls = []
        if 'tune' in stages:
            best = tune(o, runs, tokenizer, optimizer)
        else:
            best = best_rate(tuned(o, tokenizer, optimizer))
            if best is None:
                sys.exit(f'learn: {tokenizer} {optimizer} has no tuned rate yet: run the stage tune')
        if 'tune' in stages or 'seeds' in stages:
            say(f'{tokenizer} {optimizer}: best rate {best:g}')
        train = OPTIMIZERS[optimizer]
        if 'short' in stages and optimizer == CHALLENGER:
            steps = round(o.short[tokenizer] * o.steps[tokenizer])
            calls += [lambda s=s: runs(f'{optimizer}-short-seed{s}', tokenizer, train, best, s, steps,
                                       max(1, steps // o.points)) for s in o.seeds]
        if 'seeds' in stages:
            calls += [lambda s=s: runs(f'{optimizer}-seed{s}', tokenizer, train, best, s, o.steps[tokenizer],
                                       max(1, o.steps[tokenizer] // o.points)) for s in o.seeds]
        if 'check' in stages and optimizer == BASE:
            found = tuned(o, tokenizer, optimizer)
            second = best_rate({r: y for r, y in found.items() if r != best})
            calls += [lambda s=s: runs(f'{optimizer}-second-seed{s}', tokenizer, train, second, s, o.steps[tokenizer],
                                       max(1, o.steps[tokenizer] // o.points)) for s in o.seeds]
        if 'choices' in stages and optimizer == CHALLENGER:
            calls += [lambda n=n, c=c: runs(f'choice-{n}', tokenizer, dict(train, **c), best, 1, o.tune_steps)
                      for n, c in CHOICES.items()]
        together(calls)
    together([lambda t=t, p=p: pair(t, p) for t in o.tokenizers for p in o.optimizers])


def time_steps(o):
    """Medians of the steps of short trainings, the first ones left out; optimizers in turn."""
    runs, out = Runs(o), o.file('time.json')
    seconds = {}
    for again in range(2):
        for tokenizer in o.tokenizers:
            for optimizer in o.optimizers:
                run = o.file('runs', tokenizer, f'time-{optimizer}')
                shutil.rmtree(run, ignore_errors=True)
                runs(f'time-{optimizer}', tokenizer, OPTIMIZERS[optimizer], 1e-3, 1, o.time_steps, None, 1)
                got = [m['seconds'] for m in metrics(run) if 'loss' in m and m['step'] > 2]
                seconds.setdefault(tokenizer, {}).setdefault(optimizer, []).extend(got)
    result = {t: {p: {k: statistics.median(s[k] for s in rows) for k in ('total', 'update')}
                  for p, rows in of.items()} for t, of in seconds.items()}
    result['threads'] = o.threads
    with open(out, 'w') as f:
        json.dump(result, f, indent=1)
    print(json.dumps(result, indent=1))


# ---- report ---------------------------------------------------------------------------------------------------------

def mean_curve(curves):
    """Where all of them have a point."""
    steps = sorted(set.intersection(*(set(dict(c)) for c in curves))) if curves else []
    return [(s, statistics.mean(dict(c)[s] for c in curves)) for s in steps]


def crossing(points, level):
    """The step, between two points by a straight line, where a curve first is at or below a level."""
    for (s0, y0), (s1, y1) in zip(points, points[1:]):
        if y1 <= level < y0:
            return s0 + (s1 - s0) * (y0 - level) / (y0 - y1)
    return None


COLOURS = ['#1f5fa8', '#c4421a', '#d99a1e', '#555']


def ticks(low, high, about):
    raw = (high - low) / about
    unit = 10 ** math.floor(math.log10(raw))
    step = next(k * unit for k in (1, 2, 5, 10) if k * unit >= raw)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, int(math.floor(high / step + 1e-9)) + 1)]


def svg(path, title, curves, level, x_name, x_scale=1.0):
    """curves: {name: [curve of each seed]}; level: the horizontal line, or None."""
    W, H, left, right, top, bottom = 720, 440, 70, 20, 44, 56
    means = {n: mean_curve(c) for n, c in curves.items() if c}
    colour = dict(zip(curves, COLOURS if CHALLENGER in curves or len(curves) < 2 else COLOURS[:1] + COLOURS[2:]))
    every = [p for c in curves.values() for one in c for p in one]
    x_max = max(p[0] for p in every)
    low = min(p[1] for p in every)
    high = max(y for m in means.values() for s, y in m if s >= 0.1 * x_max)  # what comes before is far above
    low, high = low - 0.04 * (high - low), high + 0.02 * (high - low)

    def X(s):
        return left + (W - left - right) * s / x_max

    def Y(y):
        return H - bottom - (H - top - bottom) * (y - low) / (high - low)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{W}" height="{H}" viewBox="0 0 {W} {H}" '
           'font-family="sans-serif" font-size="13" fill="#222">',
           f'<rect width="{W}" height="{H}" fill="#fff"/>',
           f'<clipPath id="plot"><rect x="{left}" y="{top}" width="{W - left - right}" '
           f'height="{H - top - bottom}"/></clipPath>',
           f'<text x="{left}" y="26" font-size="15" font-weight="bold">{title}</text>']
    for y in ticks(low, high, 7):
        out += [f'<path d="M{left} {Y(y):.1f}H{W - right}" stroke="#e2e2e2"/>',
                f'<text x="{left - 8}" y="{Y(y) + 4:.1f}" text-anchor="end">{y:g}</text>']
    for x in ticks(0, x_max * x_scale, 8):
        at = X(x / x_scale)
        out += [f'<path d="M{at:.1f} {H - bottom}v5" stroke="#222"/>',
                f'<text x="{at:.1f}" y="{H - bottom + 20}" text-anchor="middle">{x:g}</text>']
    out += [f'<path d="M{left} {top}V{H - bottom}H{W - right}" fill="none" stroke="#222"/>',
            f'<text x="{(left + W - right) / 2}" y="{H - 14}" text-anchor="middle">{x_name}</text>',
            f'<text transform="translate(18 {(top + H - bottom) / 2}) rotate(-90)" text-anchor="middle">'
            'validation, bits per byte</text>']

    def line(points, stroke, width, opacity):
        d = 'M' + 'L'.join(f'{X(s):.1f} {Y(y):.1f}' for s, y in points)
        return (f'<path d="{d}" fill="none" stroke="{stroke}" stroke-width="{width}" stroke-opacity="{opacity}" '
                'stroke-linejoin="round" clip-path="url(#plot)"/>')
    for n, c in curves.items():
        out += [line(one, colour[n], 1, 0.45) for one in c]
    for n, m in means.items():
        out.append(line(m, colour[n], 2.5, 1))
    if level is not None:
        out.append(f'<path d="M{left} {Y(level):.1f}H{W - right}" stroke="#1f5fa8" stroke-dasharray="5 4"/>')
        for n, m in means.items():
            at = crossing(m, level)
            if n != BASE and at is not None:
                out.append(f'<path d="M{X(at):.1f} {Y(level):.1f}V{H - bottom}" stroke="{colour[n]}" '
                           'stroke-dasharray="5 4"/>')
    label = {n: ': ' + (f'mean of {len(c)} seeds' if len(c) > 1 else 'one seed') for n, c in curves.items()}
    y = top + 18
    for n, c in curves.items():
        out += [f'<path d="M{W - right - 260} {y - 4}h28" stroke="{colour[n]}" stroke-width="2.5"/>',
                f'<text x="{W - right - 224}" y="{y}">{n}{label[n]}</text>']
        y += 20
    if level is not None:
        out += [f'<path d="M{W - right - 260} {y - 4}h28" stroke="#1f5fa8" stroke-dasharray="5 4"/>',
                f'<text x="{W - right - 224}" y="{y}">final value of {BASE}</text>']
    out.append('</svg>')
    with open(path, 'w') as f:
        f.write('\n'.join(out) + '\n')


def spread(values):
    return f'{statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})'


def report(o):
    times, rows, others = {}, [], []
    if os.path.exists(o.file('time.json')):
        with open(o.file('time.json')) as f:
            times = json.load(f)
    out = ['## Learning rates', '', f'Seed 1, {o.tune_steps} steps, final validation bits per byte.', '']
    for t in o.tokenizers:
        found = {p: tuned(o, t, p) for p in o.optimizers}
        rates = sorted(set(r for f in found.values() for r in f))
        if not rates:
            continue
        out += [f'| {t} | ' + ' | '.join(f'{r:g}' for r in rates) + ' |', '|---|' + '---|' * len(rates)]
        for p, f in found.items():
            best = best_rate(f)
            cells = ['' if r not in f else 'bad numbers' if math.isinf(f[r]) else f'**{f[r]:.4f}**' if r == best
                     else f'{f[r]:.4f}' for r in rates]
            out.append(f'| {p} | ' + ' | '.join(cells) + ' |')
        out.append('')
    out += ['## Seeds', '',
            '| tokens | optimizer | rate | steps | seeds | final bits per byte: mean (range) | '
            f'steps to the final value of {BASE} | time to it, of that of {BASE} |',
            '|---|---|---|---|---|---|---|---|']
    table = [('tokenizer', 'optimizer', 'rate', 'schedule', 'seed', 'step', 'bits_per_byte')]
    for t in o.tokenizers:
        curves, full = {}, o.steps[t]
        rates = {}
        for p in o.optimizers:
            order = sorted(tuned(o, t, p).items(), key=lambda x: (x[1], x[0]))
            for kind, (rate, _) in zip(('', '-second'), order):
                got = [(s, curve(o.file('runs', t, f'{p}{kind}-seed{s}'))) for s in o.seeds]
                got = [(s, c) for s, c in got if c and c[-1][0] == full]
                table += [(t, p, rate, full, s, step, f'{y:.5f}') for s, c in got for step, y in c]
                if not got:
                    continue
                ends = [c[-1][1] for s, c in got]
                others.append(f'| {t} | {p} | {rate:g} | {full} | ' + ', '.join(f'{y:.4f}' for y in ends) +
                              f' | {statistics.mean(ends):.4f} |')
                if p in curves and (len(got) < len(curves[p]) or
                                    statistics.mean(ends) > mean_curve(curves[p])[-1][1]):
                    continue
                curves[p], rates[p] = [c for s, c in got], rate
        if BASE not in curves:
            continue
        level = mean_curve(curves[BASE])[-1][1]

        def ms(p):
            return 1e3 * times[t][p]['total'] if p in times.get(t, {}) else None
        for p, c in curves.items():
            at = full if p == BASE else crossing(mean_curve(c), level)
            each = [crossing(a, b[-1][1]) for a, b in zip(c, curves[BASE])]
            if len(c) < len(curves[BASE]) and p != BASE:
                say(f'{t} {p}: {len(c)} seeds against {len(curves[BASE])}')
            text = 'not reached' if at is None else f'{at:.0f} = {100 * at / full:.0f} %'
            if p != BASE and at is not None and None not in each:
                text += f' (seed by seed {min(each) / full * 100:.0f} to {max(each) / full * 100:.0f} %)'
            clock = f'{100 * at * ms(p) / (full * ms(BASE)):.0f} %' if at and ms(p) and ms(BASE) else ''
            ends = spread([x[-1][1] for x in c])
            out.append(f'| {t} | {p} | {rates[p]:g} | {full} | {len(c)} | {ends} | {text} | {clock} |')
        steps = round(o.short[t] * full)
        short = {s: curve(o.file('runs', t, f'{CHALLENGER}-short-seed{s}')) for s in o.seeds}
        best = best_rate(tuned(o, t, CHALLENGER))
        if best is not None and steps == o.tune_steps and not short.get(1):  # the very same run
            short[1] = curve(o.file('runs', t, tune_name(CHALLENGER, best)))
        short = [(s, c) for s, c in sorted(short.items()) if c and c[-1][0] == steps]
        drawn = dict(curves)
        if short:
            table += [(t, CHALLENGER, best, steps, s, step, f'{y:.5f}') for s, c in short for step, y in c]
            values = [c[-1][1] for s, c in short]
            reached = statistics.mean(values) <= level
            clock = f'{100 * steps * ms(CHALLENGER) / (full * ms(BASE)):.0f} %' if ms(CHALLENGER) and ms(BASE) else ''
            out.append(f'| {t} | {CHALLENGER} | {best:g} | {steps} | {len(values)} | {spread(values)} | '
                       f'{f"{steps} = {100 * steps / full:.0f} %, its end" if reached else "not reached"} | '
                       f'{clock if reached else ""} |')
            whole = [c for s, c in short if len(c) > 2]
            if whole:
                drawn[f'{CHALLENGER}, {steps} steps'] = whole
        svg(os.path.join(o.doc, f'learning-{t}.svg'), f'{t} tokens: {full} steps of {BATCH * CONTEXT} tokens', drawn,
            level, 'steps')
    out.append('')
    if others:
        out += ['## Final bits per byte, seed by seed', '', '| tokens | optimizer | rate | steps | seeds | mean |',
                '|---|---|---|---|---|---|', *others, '']
    if times:
        out += ['## Time of a step', '', f'{times.get("threads", 1)} thread, medians, milliseconds.', '',
                '| tokens | optimizer | step | of that, optimizer |', '|---|---|---|---|']
        out += [f'| {t} | {p} | {1e3 * v["total"]:.0f} | {1e3 * v["update"]:.0f} |'
                for t in o.tokenizers for p, v in times.get(t, {}).items()]
        out.append('')
    for t in o.tokenizers:
        base = tuned(o, t, CHALLENGER)
        for n in CHOICES:
            points = curve(o.file('runs', t, f'choice-{n}'))
            if points and points[-1][0] == o.tune_steps and base:
                y = base[best_rate(base)]
                rows.append(f'| {t} | {n} | {points[-1][1]:.4f} | {points[-1][1] - y:+.4f} |')
    if rows:
        out += ['## Choices', '',
                f'Seed 1, {o.tune_steps} steps, at the best rate of {CHALLENGER} as it is; bits per byte.', '',
                f'| tokens | variant | bits per byte | against {CHALLENGER} as it is |', '|---|---|---|---|', *rows, '']
    text = '\n'.join(out)
    with open(o.file('report.md'), 'w') as f:
        f.write(text)
    with open(os.path.join(o.doc, 'learning.csv'), 'w') as f:
        f.writelines(','.join(map(str, row)) + '\n' for row in table)
    print(text)


# ---- command line ---------------------------------------------------------------------------------------------------

class Options(argparse.Namespace):
    def file(self, *parts):
        return os.path.join(self.out, *parts)

    def tokenizer(self, name):
        return 'byte' if name == 'byte' else self.vocab


def parse():
    p = argparse.ArgumentParser(usage='learn.py --corpus DIR --vocab DIR --out DIR [OPTION]... [STAGE]...',
                                description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--corpus', required=True, metavar='DIR')
    p.add_argument('--vocab', required=True, metavar='DIR', help='with ja-bpe.txt and emoji.json')
    p.add_argument('--out', required=True, metavar='DIR', help='text, tokens, runs, report.md')
    p.add_argument('--doc', metavar='DIR', help='where learning-*.svg and learning.csv go (OUT)')
    p.add_argument('--wabun', default=os.environ.get('WABUN', 'wabun'), metavar='PROGRAM')
    p.add_argument('--jobs', type=int, default=1, metavar='N', help='runs at a time (1)')
    p.add_argument('--threads', type=int, default=1, metavar='N', help='threads of a run (1)')
    p.add_argument('--steps', metavar='LIST', help='of a long run, for each tokenizer (480,320)')
    p.add_argument('--tune-steps', type=int, default=160, metavar='N', help='of a short run (160)')
    p.add_argument('--warmup', type=int, default=40, metavar='N', help='steps, of long and short runs (40)')
    p.add_argument('--time-steps', type=int, default=12, metavar='N', help='of the stage time (12)')
    p.add_argument('--points', type=int, default=10, metavar='N', help='validations of a long run (10)')
    p.add_argument('--most-rates', type=int, default=6, metavar='N', help='tried for one optimizer (6)')
    p.add_argument('--short', metavar='LIST',
                   help='part of the steps in the stage short, for each tokenizer (0.3334,0.5)')
    p.add_argument('--floor', type=float, default=0.01, metavar='X', help='last rate over highest rate (0.01)')
    p.add_argument('--seeds', default='1,2,3', metavar='LIST')
    p.add_argument('--tokenizers', default='byte,ja-bpe', metavar='LIST')
    p.add_argument('--optimizers', default='adamw,muon', metavar='LIST')
    p.add_argument('--hold', type=int, default=40, metavar='N', help='one document of N is held back (40)')
    p.add_argument('--valid-bytes', type=int, default=32768, metavar='N', help='of validation text (32768)')
    p.add_argument('stage', nargs='*', metavar='STAGE', help=' '.join(STAGES + ['time']))
    o = p.parse_args(namespace=Options())
    for s in o.stage:
        if s not in STAGES + ['time']:
            p.error(f'no stage {s}')
    o.stage = o.stage or STAGES
    o.seeds = [int(s) for s in o.seeds.split(',')]
    o.tokenizers = o.tokenizers.split(',')
    def for_each(text, kind, default):
        if text is None:
            return default
        values = [kind(x) for x in text.split(',')]
        if len(values) not in (1, len(o.tokenizers)):
            p.error(f'{text}: one number is wanted, or one for each of {len(o.tokenizers)} tokenizers')
        return dict(zip(o.tokenizers, values * len(o.tokenizers) if len(values) == 1 else values))
    o.steps, o.short = for_each(o.steps, int, STEPS), for_each(o.short, float, SHORT)
    o.optimizers = o.optimizers.split(',')
    o.corpus, o.vocab, o.out = (os.path.abspath(x) for x in (o.corpus, o.vocab, o.out))
    if os.sep in o.wabun:
        o.wabun = os.path.abspath(o.wabun)
    o.doc = os.path.abspath(o.doc or o.out)
    os.makedirs(o.out, exist_ok=True)
    os.makedirs(o.doc, exist_ok=True)
    o.env = dict(os.environ, OMP_NUM_THREADS=str(o.threads), OMPI_ALLOW_RUN_AS_ROOT='1',
                 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')
    return o


def main():
    o = parse()
    if 'text' in o.stage:
        split_text(o)
    if 'encode' in o.stage:
        encode(o)
    if 'time' in o.stage:
        time_steps(o)
    if {'tune', 'seeds', 'check', 'short', 'choices'} & set(o.stage):
        train_all(o, o.stage)
    if 'report' in o.stage:
        report(o)


main()
