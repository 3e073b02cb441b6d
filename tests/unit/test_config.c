/* configuration: every option from file and --set, every way to be wrong, the round trip */
#include "config.h"

#include <math.h>
#include <string.h>

#include "t.h"
#include "unit/make_config.h"

static void test_defaults (void) {
    wb_config_t *c;
    if (!T_STATUS (make (&c, BASE, NULL), WB_OK)) return;
    T_OK (strcmp (c->run.dir, "r") == 0 && strcmp (c->tokenizer, "byte") == 0, "strings");
    T_OK (c->model.size.L == 12 && c->model.size.C == 768 && c->model.size.H == 12 && c->model.size.T == 1024 &&
              c->model.size.V == 0,
          "preset");
    T_OK (c->data.train.n == 1 && strcmp (c->data.train.list[0].name, "tok/train") == 0 &&
              c->data.train.list[0].weight == 1,
          "one token file");
    T_OK (c->step.optim.lr == 6e-4 && c->step.optim.min_lr == c->step.optim.lr / 10 && c->step.optim.eps == 1e-8 &&
              c->step.optim.beta2 == 0.95,
          "numbers");
    T_OK (c->data.shuffle && !c->step.sequence && c->step.zero && c->seed == 1, "switches");
    T_OK (c->model.base == NULL && c->data.validation == NULL && strcmp (c->run.sample_context, "") == 0, "left out");
    T_OK (c->step.global_batch == 64 && c->step.optim.steps == 10000 && c->step.optim.warmup == 200 &&
              c->run.checkpoint_every == 500 && c->run.checkpoint_keep == 5,
          "counts");
    T_OK (c->step.optim.kind == WB_OPTIM_ADAMW && c->step.optim.decay == WB_DECAY_COSINE &&
              c->step.recompute == WB_RECOMPUTE_NONE && c->step.wire == WB_WIRE_FP32 &&
              c->step.schedule == WB_SCHEDULE_1F1B && c->step.optim.muon_layout == WB_MUON_AUTO,
          "choices");
    wb_step_options_t o;
    wb_config_step_defaults (&o);
    T_OK (memcmp (&o, &c->step, sizeof o) == 0, "the defaults of a step");
    wb_config_destroy (c);
}

static void test_file (void) {
    wb_config_t *c;
    const char *all =
        "# everything\n"
        "run = \"runs/日本語 \\\"x\\\"\"; seed = 5000000000L; tokenizer = \"vocab/ja-bpe\";\n"
        "model = { layers = 2; width = 64; heads = 4; context = 32; vocab_size = 300L; };\n"
        "data = { train = ( { tokens = \"a\"; weight = 0.45; }, { tokens = \"b\"; weight = 1; }, \"c\", { tokens = "
        "\"d\"; "
        "} );\n validation = \"v\"; shuffle = false; };\n"
        "parallel = { data = 2; pipeline = 2; tensor = 2; zero = 0; micro_batch = 2; recompute = \"block\"; interleave "
        "= "
        "2; sequence_parallel = true; wire = \"bf16\"; threads = 3; };\n"
        "train = { global_batch = 8; steps = 9; optimizer = \"adagrad\"; lr = 1; warmup = 3; decay = \"linear\"; "
        "min_lr = "
        "0.1; beta1 = 0; beta2 = 0.1; eps = 1e-7; weight_decay = 0; clip = 0.5; sequence_length = 16; };\n"
        "checkpoint : { every = 1; keep = 0; } validation = { every = 2; samples = 0; };\n"
        "log = { every = 3; }; sample = { every = 4; length = 5; context = \"昔\"; };\n";
    if (!T_STATUS (make (&c, all, NULL), WB_OK)) return;
    T_OK (strcmp (c->run.dir, "runs/日本語 \"x\"") == 0 && c->seed == 5000000000, "top level: %s", c->run.dir);
    T_OK (c->model.size.L == 2 && c->model.size.C == 64 && c->model.size.H == 4 && c->model.size.T == 32 &&
              c->model.size.V == 300,
          "model");
    T_OK (c->data.train.n == 4 && c->data.train.list[0].weight == 0.45 && c->data.train.list[1].weight == 1 &&
              c->data.train.list[2].weight == 1 && strcmp (c->data.train.list[3].name, "d") == 0,
          "parts: %d", c->data.train.n);
    T_OK (!c->data.shuffle && strcmp (c->data.validation, "v") == 0, "data");
    T_OK (c->parallel.data == 2 && c->parallel.pipeline == 2 && c->parallel.tensor == 2 && !c->step.zero &&
              c->step.B == 2 && c->step.chunks == 2 && c->step.sequence && c->step.wire == WB_WIRE_BF16 &&
              c->parallel.threads == 3,
          "parallel");
    T_OK (c->step.global_batch == 8 && c->step.optim.steps == 9 && c->step.optim.lr == 1.0 &&
              c->step.optim.min_lr == 0.1 && c->step.T == 16 && c->step.optim.weight_decay == 0 &&
              c->step.optim.clip == 0.5 && c->step.optim.beta1 == 0,
          "train: whole numbers are numbers");
    T_OK (c->run.checkpoint_every == 1 && c->run.checkpoint_keep == 0 && c->run.validation_every == 2 &&
              c->run.validation_samples == 0 && c->run.log_every == 3 && c->run.sample_every == 4 &&
              c->run.sample_length == 5 && strcmp (c->run.sample_context, "昔") == 0,
          "the rest");
    char *text = wb_config_text (c), *again = NULL;
    wb_config_t *d;
    if (T_OK (text != NULL, "text") && T_STATUS (make (&d, text, NULL), WB_OK)) {
        again = wb_config_text (d);
        T_OK (again != NULL && strcmp (text, again) == 0, "round trip:\n%s\n%s", text, again);
        T_OK (d->step.optim.lr == c->step.optim.lr && d->step.optim.eps == c->step.optim.eps && d->seed == c->seed &&
                  strcmp (d->run.dir, c->run.dir) == 0 && d->data.train.n == 4 && d->data.train.list[0].weight == 0.45,
              "values");
        wb_free (again);
        wb_config_destroy (d);
    }
    wb_free (text);
    wb_config_destroy (c);
}

/* The round trip of numbers that have no short form, and of strings that need quoting. */
static void test_round_trip (void) {
    wb_config_t *c, *d;
    if (!T_STATUS (make (&c, BASE, "train.lr=0.00012345678901234567"), WB_OK)) return;
    for (int i = 0; i < 200; i++) {
        c->step.optim.lr = exp (20 * (wb_rng_uniform (1, 2, (uint64_t) i) - 1));
        c->step.optim.min_lr = c->step.optim.lr * wb_rng_uniform (1, 3, (uint64_t) i);
        c->data.train.list[0].weight = c->step.optim.lr * 3;
        char *text = wb_config_text (c);
        if (text != NULL && T_STATUS (make (&d, text, NULL), WB_OK)) {
            T_OK (d->step.optim.lr == c->step.optim.lr && d->step.optim.min_lr == c->step.optim.min_lr &&
                      d->data.train.list[0].weight == c->data.train.list[0].weight,
                  "%.17g", c->step.optim.lr);
            wb_config_destroy (d);
        }
        wb_free (text);
    }
    wb_config_destroy (c);
    if (!T_STATUS (make (&c, BASE, "sample.context=a\"b\\c\n\t\x01\x7f%d 和文"), WB_OK)) return;
    char *text = wb_config_text (c);
    if (text != NULL && T_STATUS (make (&d, text, NULL), WB_OK)) {
        T_OK (strcmp (c->run.sample_context, d->run.sample_context) == 0, "%s", text);
        wb_config_destroy (d);
    }
    wb_free (text);
    wb_config_destroy (c);
}

/* Every key can be set, and what was set is in the resolved text. */
static void test_set (void) {
    static const char *const sets[] = {"run=x/y",
                                       "seed=7",
                                       "tokenizer=vocab/t",
                                       "model.preset=medium",
                                       "model.layers=3",
                                       "model.width=24",
                                       "model.heads=6",
                                       "model.context=512",
                                       "model.vocab_size=999",
                                       "data.train=tok/other",
                                       "data.validation=tok/v",
                                       "data.shuffle=false",
                                       "parallel.data=3",
                                       "parallel.pipeline=2",
                                       "parallel.tensor=4",
                                       "parallel.zero=0",
                                       "parallel.micro_batch=2",
                                       "parallel.recompute=attention",
                                       "parallel.interleave=1",
                                       "parallel.sequence_parallel=true",
                                       "parallel.wire=bf16",
                                       "parallel.schedule=gpipe",
                                       "parallel.threads=5",
                                       "train.global_batch=128",
                                       "train.steps=321",
                                       "train.sequence_length=100",
                                       "train.precision=bf16",
                                       "train.measure_products=false",
                                       "train.optimizer=adam_tf1",
                                       "train.lr=0.25",
                                       "train.warmup=17",
                                       "train.decay=linear",
                                       "train.min_lr=1.25e-07",
                                       "train.beta1=0.5",
                                       "train.beta2=0.625",
                                       "train.eps=0.001",
                                       "train.weight_decay=0.75",
                                       "train.clip=2.5",
                                       "train.muon_momentum=0.5",
                                       "train.muon_nesterov=false",
                                       "train.muon_steps=7",
                                       "train.muon_rms=0.25",
                                       "train.muon_split_qkv=false",
                                       "train.muon_layout=grid",
                                       "train.muon_check=50",
                                       "checkpoint.every=11",
                                       "checkpoint.keep=12",
                                       "checkpoint.background=\"true\"",
                                       "checkpoint.archive=40",
                                       "checkpoint.failures=20",
                                       "checkpoint.archive=22",
                                       "watchdog.enabled=false",
                                       "watchdog.warn=1.5",
                                       "watchdog.limit=2.5",
                                       "watchdog.other=3.5",
                                       "train.bad_steps=21",
                                       "train.spike_z=22.5",
                                       "train.spike_window=23",
                                       "train.spike_skip=true",
                                       "train.loss_rise=1.5",
                                       "train.rollback=24",
                                       "validation.every=13",
                                       "validation.samples=14",
                                       "log.every=15",
                                       "report.tensorboard=true",
                                       "report.openmetrics=/var/run.prom",
                                       "sample.every=16",
                                       "sample.length=18",
                                       "finetune.layers=1",
                                       "finetune.lora_rank=4",
                                       "finetune.lora_alpha=8.5",
                                       "finetune.targets=c_attn",
                                       "sample.context=\"むかし むかし\""};
    enum { N = sizeof sets / sizeof *sets };
    for (int i = 0; i < N; i++) {
        wb_config_t *c;
        if (!T_STATUS (make (&c, BASE, sets[i]), WB_OK)) continue;
        char *text = wb_config_text (c), want[128];
        const char *equals = strchr (sets[i], '='), *dot = strchr (sets[i], '.');
        const char *key = dot != NULL && dot < equals ? dot + 1 : sets[i];
        bool plain = strchr ("-0123456789tf", equals[1]) != NULL && strstr (sets[i], "tok") == NULL;
        if (strcmp (key, "train=tok/other") == 0)
            snprintf (want, sizeof want, "{ tokens = \"tok/other\"; weight = 1.0; }");
        else if (plain || equals[1] == '"')
            snprintf (want, sizeof want, "%.*s = %s;", (int) (equals - key), key, equals + 1);
        else
            snprintf (want, sizeof want, "%.*s = \"%s\";", (int) (equals - key), key, equals + 1);
        T_OK (text != NULL && strstr (text, want) != NULL, "%s is not in\n%s", want, text);
        wb_free (text);
        wb_config_destroy (c);
    }
    /* The last one counts; the file counts more than the default, --set more than the file. */
    const char *const two[] = {"train.steps=300", "train.steps=400L", "model.base=", "data.validation="};
    const char *path = t_tmp ("two.cfg"), *text = BASE "train = { steps = 250; };";
    wb_config_t *c;
    if (T_STATUS (wb_file_write (path, text, strlen (text)), WB_OK) &&
        T_STATUS (wb_config_new (&c, path, two, 4), WB_OK)) {
        T_OK (c->step.optim.steps == 400 && c->model.base == NULL && c->data.validation == NULL, "the last --set");
        T_OK (strcmp (c->path, path) == 0, "path");
        wb_config_destroy (c);
    }
    if (T_STATUS (make (&c, BASE "train = { steps = 250; };", NULL), WB_OK)) {
        T_OK (c->step.optim.steps == 250, "the file");
        wb_config_destroy (c);
    }
    /* Lists, as the file has them. */
    if (T_STATUS (make (&c, BASE, "data.train=({tokens=\"a b\";weight=1.5;}, \"c\",{tokens=\"d\"})"), WB_OK)) {
        T_OK (c->data.train.n == 3 && strcmp (c->data.train.list[0].name, "a b") == 0 &&
                  c->data.train.list[0].weight == 1.5 && strcmp (c->data.train.list[1].name, "c") == 0 &&
                  c->data.train.list[1].weight == 1 && c->data.train.list[2].weight == 1,
              "a list of parts");
        wb_config_destroy (c);
    }
    if (T_STATUS (make (&c, BASE, "data.train=[\"a\", \"b\"]"), WB_OK)) {
        T_OK (c->data.train.n == 2 && strcmp (c->data.train.list[1].name, "b") == 0, "an array of names");
        wb_config_destroy (c);
    }
    if (T_STATUS (make (&c, BASE, "data.train={tokens=\"a\"; weight=2;}"), WB_OK)) {
        T_OK (c->data.train.n == 1 && c->data.train.list[0].weight == 2, "one group");
        wb_config_destroy (c);
    }
    /* Some editors put a byte order mark in front. */
    if (T_STATUS (make (&c, "\xef\xbb\xbf" BASE, NULL), WB_OK)) {
        T_OK (strcmp (c->run.dir, "r") == 0, "a byte order mark");
        wb_config_destroy (c);
    }
    REFUSED (BASE "train = { learning_rate = 1; };", NULL,
             "a.cfg:5: unknown key `train.learning_rate`; did you mean `train.lr`?");
    REFUSED (BASE "log = { every = 1; // }\n", NULL, "a.cfg:6: syntax error: the `{` of line 5 is not closed");
    REFUSED (BASE "log = { every = 1; \"};\" };\nx = [ 1 );", NULL,
             "a.cfg:5: syntax error: `)` comes before the `[` of line 6 is closed");
    REFUSED (BASE "log = ( 1 };\n", NULL, "a.cfg:5: syntax error: `}` comes before the `(` of line 5 is closed");
    REFUSED (BASE "};\n", NULL, "a.cfg:5: syntax error: `}` closes nothing");
    REFUSED ("\xef\xbb\xbf" BASE "trian = { lr = 1; };", NULL, "a.cfg:5: unknown key `trian`; did you mean `train`?");
    /* A base needs neither sizes nor tokenizer; --set takes a preset back. */
    if (T_STATUS (make (&c, "run = \"r\"; data = { train = [ \"a\", \"b\" ]; }; model = { base = \"m\"; };", NULL),
                  WB_OK)) {
        T_OK (c->model.size.L == 0 && c->data.train.n == 2 && c->tokenizer == NULL, "base");
        wb_config_destroy (c);
    }
}

static void test_refused (void) {
    /* the file */
    REFUSED (BASE "train = {\n lrr = 1; };", NULL, "a.cfg:6: unknown key `train.lrr`; did you mean `train.lr`?");
    REFUSED (BASE "trian = { lr = 1; };", NULL, "a.cfg:5: unknown key `trian`; did you mean `train`?");
    REFUSED (BASE "lr = 1;", NULL, "a.cfg:5: unknown key `lr`; did you mean `train.lr`?");
    REFUSED (BASE "Seed = 1;", NULL, "a.cfg:5: unknown key `Seed`; did you mean `seed`?");
    REFUSED (BASE "log = { global_batch = 1; };", NULL,
             "a.cfg:5: unknown key `log.global_batch`; did you mean `train.global_batch`?");
    REFUSED (BASE "entirely_unlike = 1;", NULL,
             "a.cfg:5: unknown key `entirely_unlike`; `wabun help train` lists all keys");
    REFUSED (BASE "log = { every = { every = 1; }; };", NULL,
             "a.cfg:5: `log.every` wants a whole number, got a group { }");
    REFUSED (BASE "log = 1;", NULL, "a.cfg:5: `log` wants a group { }, got a number");
    REFUSED (BASE "train = { lr = \"x\"; };", NULL, "a.cfg:5: `train.lr` wants a number, got a string");
    REFUSED (BASE "train = { lr = true; };", NULL, "a.cfg:5: `train.lr` wants a number, got true or false");
    REFUSED (BASE "train = { steps = 1.5; };", NULL,
             "a.cfg:5: `train.steps` wants a whole number, got a number with a point");
    REFUSED (BASE "train = { steps = 1e3; };", NULL,
             "a.cfg:5: `train.steps` wants a whole number, got a number with a point");
    REFUSED (BASE "train = { steps = [ 1, 2 ]; };", NULL,
             "a.cfg:5: `train.steps` wants a whole number, got an array [ ]");
    REFUSED (BASE "train = { decay = 1; };", NULL, "a.cfg:5: `train.decay` wants a string, got a number");
    REFUSED (BASE "train = { decay = \"cosin\"; };", NULL,
             "a.cfg:5: `train.decay` = `cosin` is not one of cosine|linear|constant");
    REFUSED (BASE "parallel = { sequence_parallel = 1; };", NULL,
             "a.cfg:5: `parallel.sequence_parallel` wants true or false, got a number");
    REFUSED (BASE "train = { steps = 0; };", NULL, "a.cfg:5: `train.steps` = 0 is out of range: x >= 1");
    REFUSED (BASE "train = { steps = 2000000000000L; };", NULL,
             "a.cfg:5: `train.steps` = 2000000000000 is too large: 1e+12 at most");
    REFUSED (BASE "train = { beta1 = 1; };", NULL, "a.cfg:5: `train.beta1` = 1 is out of range: 0 <= x < 1");
    REFUSED (BASE "train = { lr = 0; };", NULL, "a.cfg:5: `train.lr` = 0 is out of range: x > 0");
    REFUSED (BASE "train = { eps = -1e-9; };", NULL, "a.cfg:5: `train.eps` = -1e-09 is out of range: 0 < x <= 1");
    REFUSED (BASE "train = { lr = 1e999; };", NULL, "a.cfg:5: `train.lr` = inf is out of range: x > 0");
    REFUSED (BASE "parallel = { zero = 2; };", NULL, "a.cfg:5: `parallel.zero` = 2 is out of range: 0 <= x <= 1");
    REFUSED (BASE "train = { lr = };", NULL, "a.cfg:5: syntax error: write key = value; with text in \"quotes\"");
    REFUSED (BASE "seed = 1;\nseed = 2;", NULL, "a.cfg:6: duplicate setting name");
    REFUSED ("run = \"r", NULL, "a.cfg:1: the string that begins here does not end: a \" is missing");

    /* data.train */
    REFUSED ("data = {\n train = (\n { token = \"a\"; } ); };", NULL,
             "a.cfg:3: unknown key `data.train.token`; did you mean `tokens`?");
    REFUSED ("data = { train = ( { x = 1; } ); };", NULL,
             "a.cfg:1: unknown key `data.train.x`; there are `tokens` and `weight`");
    REFUSED ("data = { train = ( { weight = 1; } ); };", NULL,
             "a.cfg:1: this part of `data.train` names no token file: tokens = PREFIX is missing");
    REFUSED ("data = { train = ( { tokens = \"a\"; weight = 0; } ); };", NULL,
             "a.cfg:1: `data.train.weight` = 0 is out of range: x > 0");
    REFUSED ("data = { train = ( { tokens = \"a\"; weight = \"1\"; } ); };", NULL,
             "a.cfg:1: `data.train.weight` wants a number, got a string");
    REFUSED ("data = { train = ( { tokens = 3; } ); };", NULL,
             "a.cfg:1: `data.train.tokens` wants a string, got a number");
    REFUSED ("data = { train = ( 3 ); };", NULL,
             "a.cfg:1: `data.train` wants a string or a list of groups { tokens = PREFIX; weight = 1; }, got a number");
    REFUSED ("data = { train = \"\"; };", NULL, "a.cfg:1: `data.train`: the name of a token file is empty");
    REFUSED (BASE, "data.train=({tokens=\"a\"",
             "--set data.train: syntax error in `({tokens=\"a\"`; for instance --set "
             "'data.train=({tokens=\"a\"; weight=2.0;}, \"b\")'");
    REFUSED (BASE, "data.train=(\"a\"); seed = 2;", "--set data.train: `(\"a\"); seed = 2;` goes on after its value");
    REFUSED (BASE, "data.train=({tokens=\"a\"; weight=-1;})",
             "--set data.train: `data.train.weight` = -1 is out of range: x > 0");
    REFUSED (BASE, "data.train=({token=\"a\";})",
             "--set data.train: unknown key `data.train.token`; did you mean `tokens`?");
    REFUSED (BASE, "data.train=()", "a.cfg: `data.train` is missing: name a token file (wabun encode makes them)");

    /* --set */
    REFUSED (BASE, "train.lrr=1", "--set train.lrr: unknown key `train.lrr`; did you mean `train.lr`?");
    REFUSED (BASE, "lr=1", "--set lr: unknown key `lr`; did you mean `train.lr`?");
    REFUSED (BASE, "train=1", "--set train: is a group: set its members, for instance --set train.steps=100");
    REFUSED (BASE, "train.lr", "--set train.lr: wants KEY=VALUE, for instance --set train.steps=100");
    REFUSED (BASE, "=1", "--set =1: wants KEY=VALUE, for instance --set train.steps=100");
    REFUSED (BASE, "train.lr=abc", "--set train.lr: `train.lr` wants a number, got `abc`");
    REFUSED (BASE, "train.lr=nan", "--set train.lr: `train.lr` wants a number, got `nan`");
    REFUSED (BASE, "train.lr=", "--set train.lr: `train.lr` wants a number, got ``");
    REFUSED (BASE, "train.steps=1.5", "--set train.steps: `train.steps` wants a whole number, got `1.5`");
    REFUSED (BASE, "train.steps=10x", "--set train.steps: `train.steps` wants a whole number, got `10x`");
    REFUSED (BASE, "train.steps=99999999999999999999",
             "--set train.steps: `train.steps` wants a whole number, got `99999999999999999999`");
    REFUSED (BASE, "train.steps=-1", "--set train.steps: `train.steps` = -1 is out of range: x >= 1");
    REFUSED (BASE, "data.shuffle=yes", "--set data.shuffle: `data.shuffle` wants true or false, got `yes`");
    REFUSED (BASE, "train.decay=exp", "--set train.decay: `train.decay` = `exp` is not one of cosine|linear|constant");
    REFUSED (BASE, "model.preset=huge",
             "--set model.preset: `model.preset` = `huge` is not one of tiny|small|medium|large|xl");

    /* two options together */
    REFUSED (BASE, "run=", "a.cfg: `run` is missing: name a directory for the run, as in run = \"runs/small\";");
    REFUSED ("run = \"r\";", NULL, "a.cfg: `data.train` is missing: name a token file (wabun encode makes them)");
    REFUSED (
        BASE, "model.preset=",
        "a.cfg: what model? Give `model.preset` (tiny, small, medium, large, xl), or `model.layers`, `width`, `heads` "
        "and `context`, or `model.base`");
    REFUSED (BASE, "model.base=m",
             "a.cfg: `model.preset` and `model.base` exclude each other: a base brings its sizes");
    REFUSED ("run = \"r\"; data = { train = \"a\"; }; model = { layers = 1; width = 8; heads = 2; };", NULL,
             "a.cfg: `model.context` is missing: without a preset or base all four sizes are needed");
    REFUSED (BASE, "model.heads=7", "a.cfg: `model.width` = 768 is not a multiple of `model.heads` = 7");
    REFUSED (BASE, "tokenizer=", "a.cfg: how large is the vocabulary? Give `tokenizer` or `model.vocab_size`");
    REFUSED (BASE, "train.sequence_length=1025",
             "a.cfg: `train.sequence_length` = 1025 is longer than `model.context` = 1024");
    REFUSED (BASE, "train.min_lr=1", "a.cfg: `train.min_lr` = 1 is above `train.lr` = 0.0006");
    REFUSED (BASE, "parallel.micro_batch=3",
             "a.cfg: `train.global_batch` = 64 is not a multiple of `parallel.micro_batch` = 3");
    REFUSED (BASE, "parallel.interleave=2", "a.cfg: `parallel.interleave` = 2 needs `parallel.pipeline` above 1");
    REFUSED (BASE "parallel = { pipeline = 2; interleave = 2; schedule = \"gpipe\"; };", NULL,
             "a.cfg: `parallel.interleave` = 2 needs `parallel.schedule` = \"1f1b\"");
    REFUSED ("run = \"r\"; data = { train = \"a\"; }; model = { preset = \"tiny\"; vocab_size = 300; };",
             "sample.every=5", "a.cfg: `sample.every` = 5 needs a `tokenizer` to write text");
}

static void test_files (void) {
    wb_config_t *c;
    T_STATUS (wb_config_new (&c, t_tmp ("none.cfg"), NULL, 0), WB_EIO);
    T_STATUS (wb_config_new (&c, t_tmp (""), NULL, 0), WB_EIO);
    const char zero[] = "run = \"r\";\0seed = 1;";
    T_STATUS (wb_file_write (t_tmp ("zero.cfg"), zero, sizeof zero), WB_OK);
    T_STATUS (wb_config_new (&c, t_tmp ("zero.cfg"), NULL, 0), WB_EUSAGE);
    T_OK (c == NULL, "nothing");

    static const char *const jobs[] = {"tiny", "small", "medium", "large", "xl"};
    for (int i = 0; i < 5; i++) {
        char name[64];
        snprintf (name, sizeof name, "jobs/%s.cfg", jobs[i]);
        if (!T_STATUS (wb_config_new (&c, t_src (name), NULL, 0), WB_OK)) continue;
        T_OK (strcmp (wb_preset_names[c->model.preset], jobs[i]) == 0, "%s", name);
        wb_config_destroy (c);
    }
}

/* Numbers and the walk over a command line. */
static void test_quotes (void) {
    static const char *const cases[][2] = {{"runs/a-b.c", "runs/a-b.c"},
                                           {"モデル/1", "モデル/1"},
                                           {"my model", "'my model'"},
                                           {"it's", "'it'\\''s'"},
                                           {"~x", "'~x'"},
                                           {"$HOME", "'$HOME'"},
                                           {"", "''"}};
    char buf[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = wb_shell_quote (buf, sizeof buf, cases[i][0]);
        T_OK (strcmp (got, cases[i][1]) == 0, "%s, not %s", got, cases[i][1]);
    }
    const char *text = "eight blanks:        more";
    T_OK (wb_shell_quote (buf, sizeof buf, text) == text, "too long to be quoted");
}

static void test_opts (void) {
    static const char *const argv[] = {"x",    "--top-k",  "40", "--model=d", "-o",     "out",
                                       "file", "--tokens", "-",  "--",        "--rest", NULL};
    wb_opts_t o = wb_opts_begin (11, (char **) (uintptr_t) argv);
    const char *model = NULL, *out = NULL;
    int64_t k = 0;
    int files = 0;
    bool tokens = false;
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--model"))
            T_STATUS (wb_opts_text (&o, &model), WB_OK);
        else if (wb_opts_is (&o, "--top-k"))
            T_STATUS (wb_opts_int (&o, &k, 0, 100), WB_OK);
        else if (wb_opts_is (&o, "-o"))
            T_STATUS (wb_opts_text (&o, &out), WB_OK);
        else if (wb_opts_is (&o, "--tokens"))
            T_STATUS (wb_opts_flag (&o, &tokens), WB_OK);
        else if (wb_opts_is_file (&o))
            files++;
        else
            T_STATUS (wb_opts_unknown (&o), WB_OK);
    }
    T_OK (k == 40 && files == 3 && tokens && strcmp (model, "d") == 0 && strcmp (out, "out") == 0, "walk");

    static const char *const wrong[] = {"x", "--modle", "--top-k=41x", "--tokens=1", "--model", NULL};
    o = wb_opts_begin (5, (char **) (uintptr_t) wrong);
    (void) wb_opts_next (&o), (void) wb_opts_is (&o, "--model"), (void) wb_opts_is (&o, "--top-k");
    T_OK (wb_opts_unknown (&o) == WB_EUSAGE &&
              strcmp (wb_error_get ()->text, "unknown option --modle; did you mean --model?") == 0,
          "%s", wb_error_get ()->text);
    wb_error_clear ();
    (void) wb_opts_next (&o);
    T_OK (wb_opts_int (&o, &k, 0, 100) == WB_EUSAGE &&
              strcmp (wb_error_get ()->text, "--top-k wants a whole number, got `41x`") == 0,
          "%s", wb_error_get ()->text);
    wb_error_clear ();
    (void) wb_opts_next (&o);
    T_STATUS (wb_opts_flag (&o, &tokens), WB_EUSAGE);
    (void) wb_opts_next (&o);
    T_STATUS (wb_opts_text (&o, &model), WB_EUSAGE);
    double x = 0;
    T_STATUS (wb_opt_float (&x, "t", "0.5", 0, 1), WB_OK);
    T_OK (x == 0.5, "%g", x);
    T_STATUS (wb_opt_float (&x, "t", "inf", 0, HUGE_VAL), WB_EUSAGE);
    T_STATUS (wb_opt_float (&x, "t", "2", 0, 1), WB_EUSAGE);
    T_STATUS (wb_opt_int (&k, "t", "9223372036854775808", 0, INT64_MAX), WB_EUSAGE);
    T_STATUS (wb_opt_int (&k, "t", " 1", 0, INT64_MAX), WB_EUSAGE);
    T_OK (wb_edit_distance ("train", "trian") == 1 && wb_edit_distance ("", "abc") == 3 &&
              wb_edit_distance ("kitten", "sitting") == 3,
          "edit distance");
}

int main (void) {
    test_defaults ();
    test_file ();
    test_round_trip ();
    test_set ();
    test_refused ();
    test_files ();
    test_opts ();
    test_quotes ();
    return T_DONE ();
}
