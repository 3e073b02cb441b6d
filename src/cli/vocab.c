/* wabun vocab: the command lines of training and comparing vocabularies (vocab.h). */
#include "config.h"

#include <string.h>

#include "cli/cli.h"
#include "wabun/vocab.h"

enum { TOKENIZERS = 32 };

static wb_status train (int argc, char **argv) {
    const char *weights[WB_VOCAB_WEIGHTS];
    wb_vocab_training_t t = {.in = {.paths = argv + 1, .weights = weights, .seed = 1}};
    bool taken;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--kind"))
            WB_TRY (wb_opts_text (&o, &t.kind));
        else if (wb_opts_is (&o, "--size"))
            WB_TRY (wb_opts_int (&o, &t.size, 1, INT32_MAX));
        else if (wb_opts_is (&o, "-o"))
            WB_TRY (wb_opts_text (&o, &t.dir));
        else if (wb_opts_is (&o, "--no-words"))
            WB_TRY (wb_opts_flag (&o, &t.no_words));
        else if (wb_opts_is (&o, "--force"))
            WB_TRY (wb_opts_flag (&o, &t.force));
        else {
            WB_TRY (wb_vocab_inputs_option (&t.in, weights, &o, &taken));
            if (!taken) return wb_opts_unknown (&o);
        }
    }
    if (t.kind == NULL) return WB_FAIL (WB_EUSAGE, "--kind is missing: ja-bpe, unigram or bpe");
    if (t.size == 0) return WB_FAIL (WB_EUSAGE, "--size is missing: how many ids, for instance 8000");
    if (t.dir == NULL || t.dir[0] == 0) return WB_FAIL (WB_EUSAGE, "-o DIR is missing");
    if (t.in.npaths == 0) return WB_FAIL (WB_EUSAGE, "no INPUT: a file or a directory");
    wb_temp_guard ();
    return wb_vocab_train (&t);
}

static wb_status compare (int argc, char **argv) {
    const char *weights[WB_VOCAB_WEIGHTS], *tokenizers[TOKENIZERS];
    wb_vocab_comparison_t c = {.tokenizers = tokenizers, .in = {.paths = argv + 1, .weights = weights, .seed = 1}};
    bool taken;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "-t") || wb_opts_is (&o, "--tokenizer")) {
            if (c.ntokenizers == TOKENIZERS) return WB_FAIL (WB_EUSAGE, "-t: %d at most", TOKENIZERS);
            WB_TRY (wb_opts_text (&o, &tokenizers[c.ntokenizers++]));
        } else if (wb_opts_is (&o, "-o"))
            WB_TRY (wb_opts_text (&o, &c.page));
        else if (wb_opts_is (&o, "--json"))
            WB_TRY (wb_opts_flag (&o, &c.json));
        else if (wb_opts_is (&o, "--clean"))
            WB_TRY (wb_opts_flag (&o, &c.clean));
        else {
            WB_TRY (wb_vocab_inputs_option (&c.in, weights, &o, &taken));
            if (!taken) return wb_opts_unknown (&o);
        }
    }
    if (c.ntokenizers == 0) return WB_FAIL (WB_EUSAGE, "-t T is missing: byte, or a vocabulary directory");
    if (c.in.npaths == 0) return WB_FAIL (WB_EUSAGE, "no INPUT: a file or a directory");
    wb_temp_guard ();
    return wb_vocab_compare (&c);
}

static wb_status run (int argc, char **argv) {
    if (argc > 1 && strcmp (argv[1], "train") == 0) return train (argc - 1, argv + 1);
    if (argc > 1 && strcmp (argv[1], "compare") == 0) return compare (argc - 1, argv + 1);
    if (argc < 2) return WB_FAIL (WB_EUSAGE, "wabun vocab train or wabun vocab compare?");
    return WB_FAIL (WB_EUSAGE, "wabun vocab %s: it is train or compare", argv[1]);
}

const wb_cmd_t wb_cmd_vocab = {
    .name = "vocab",
    .usage = "train --kind K --size N -o DIR INPUT... | compare -t A -t B... [-o FILE.html] INPUT...",
    .line = "make vocabularies from text, and compare them",
    .run = run,
    .text =
        "Options of train:\n"
        "  --kind K            ja-bpe: characters and pairs, as gpt2-japanese; unigram, bpe: models of SentencePiece\n"
        "  --size N            number of ids\n"
        "  -o DIR              where its files go; --tokenizer DIR then takes them\n"
        "  --no-words          ja-bpe: any pair of one script, not only those inside words that SentencePiece finds\n"
        "  --force             replace a vocabulary that another command made; the same command makes its own again\n"
        "Options of compare:\n"
        "  -t T                a tokenizer, as --tokenizer takes it; any number of times\n"
        "  -o FILE.html        also a page with plots\n"
        "  --json              an object instead of a table\n"
        "  --clean             as in wabun encode\n"
        "Of both:\n"
        "  INPUT               files and directories of text, archives and lines of JSON\n"
        "  --weight GENRE=W    what share a genre has; any number of times (default: as there is of it)\n"
        "  --seed S            chooses the texts where there are more than fit (1)\n"
        "  --memory M          how much it may take, such as 512M or 4G (2G); it reads any amount of text\n"
        "\n"
        "The genre of a text is what its line of JSON says, else the name of the input: a file or a directory.\n"
        "The same text, seed and memory make the same files. A word of compare is a run of two or more kanji,\n"
        "katakana or Latin letters; it is whole if one token is this run. doc/vocabulary.md has more.\n",
};
