/* wabun encode: text to token files, or line by line for other programs. */
#include "config.h"

#include <string.h>

#include "cli/cli.h"
#include "wabun/comm.h"
#include "wabun/dataset.h"
#include "wabun/launch.h"

/* Line by line there are no files. */
static wb_status check_lines (const wb_dataset_encoding_t *e, bool bad_lines) {
    const bool more =
        e->from != NULL || bad_lines || e->validation > 0 || strcmp (e->field, "text") != 0; /* --answers too */
    if (e->prefix != NULL || e->ninputs > 0 || more || e->keep_crlf || e->keep_garbled || e->force)
        return WB_FAIL (WB_EUSAGE,
                        "--jsonl reads the standard input and writes the standard output, line by line; with it "
                        "neither -o nor INPUT, and no option but --tokenizer and --clean");
    return WB_OK;
}

static wb_status check_files (const wb_dataset_encoding_t *e) {
    const char *p = e->prefix;
    if (p == NULL || p[0] == 0) return WB_FAIL (WB_EUSAGE, "-o PREFIX is missing (or --jsonl)");
    const char *slash = wb_file_name (p)[0] == 0 ? "" : "/";
    if (slash[0] == 0 || wb_file_is_dir (p))
        return WB_FAIL (WB_EUSAGE, "-o %s: that is a directory; the files need a name in it, such as -o %s%stext", p, p,
                        slash);
    if (e->ninputs == 0) return WB_FAIL (WB_EUSAGE, "no INPUT: a file, a directory, or - for the standard input");
    return WB_OK;
}

static wb_status run (int argc, char **argv) {
    wb_dataset_encoding_t e = {.inputs = argv + 1, .field = "text"}; /* the inputs are moved to argv[1 ...] */
    bool jsonl = false;
    const char *bad_lines = NULL;
    wb_opts_t o = wb_opts_begin (argc, argv);
    while (wb_opts_next (&o)) {
        if (wb_opts_is (&o, "--tokenizer"))
            WB_TRY (wb_opts_text (&o, &e.tokenizer));
        else if (wb_opts_is (&o, "-o"))
            WB_TRY (wb_opts_text (&o, &e.prefix));
        else if (wb_opts_is (&o, "--clean"))
            WB_TRY (wb_opts_flag (&o, &e.clean));
        else if (wb_opts_is (&o, "--jsonl"))
            WB_TRY (wb_opts_flag (&o, &jsonl));
        else if (wb_opts_is (&o, "--from"))
            WB_TRY (wb_opts_text (&o, &e.from));
        else if (wb_opts_is (&o, "--answers"))
            WB_TRY (wb_opts_flag (&o, &e.answers));
        else if (wb_opts_is (&o, "--text-field"))
            WB_TRY (wb_opts_text (&o, &e.field));
        else if (wb_opts_is (&o, "--bad-lines"))
            WB_TRY (wb_opts_text (&o, &bad_lines));
        else if (wb_opts_is (&o, "--keep-crlf"))
            WB_TRY (wb_opts_flag (&o, &e.keep_crlf));
        else if (wb_opts_is (&o, "--keep-garbled"))
            WB_TRY (wb_opts_flag (&o, &e.keep_garbled));
        else if (wb_opts_is (&o, "--force"))
            WB_TRY (wb_opts_flag (&o, &e.force));
        else if (wb_opts_is (&o, "--validation"))
            WB_TRY (wb_opts_float (&o, &e.validation, 1e-6, 0.5));
        else if (wb_opts_is (&o, "--threads"))
            WB_TRY (wb_opts_int (&o, &e.threads, 1, 4096));
        else if (wb_opts_is_file (&o))
            argv[1 + e.ninputs++] = argv[o.at];
        else
            return wb_opts_unknown (&o);
    }
    if (e.tokenizer == NULL) return WB_FAIL (WB_EUSAGE, "--tokenizer is missing: byte or a vocabulary directory");
    WB_TRY (wb_bad_lines_parse (&e.bad_lines, bad_lines));
    if (e.answers && strcmp (e.field, "text") != 0)
        return WB_FAIL (WB_EUSAGE, "--answers reads the fields \"prompt\" and \"response\": leave out --text-field");
    if (e.answers) e.field = "response";
    if (jsonl) {
        WB_TRY (check_lines (&e, bad_lines != NULL));
        return wb_dataset_encode_lines (e.tokenizer, e.clean);
    }
    WB_TRY (check_files (&e));
    wb_temp_guard ();
    wb_comm_t *world;
    WB_TRY (wb_world_new (&world));
    wb_status status = wb_dataset_encode (world, &e);
    wb_world_destroy (world);
    return status;
}

const wb_cmd_t wb_cmd_encode = {
    .name = "encode",
    .usage = "--tokenizer T [--clean] [--validation F] -o PREFIX INPUT... | --jsonl",
    .line = "turn text into token files",
    .run = run,
    .flags = WB_CMD_RANKS,
    .alone = "--jsonl",
    .text =
        "  --tokenizer T     byte, a vocabulary directory, a SentencePiece *.model or a model directory\n"
        "  --clean           replace URLs, e-mail addresses, telephone numbers, dates and prices by tags\n"
        "  -o PREFIX         write PREFIX.bin and PREFIX.idx; PREFIX.tokenizer says by which command\n"
        "  INPUT             files and directories; - is the standard input. A text is one document; lines of JSON\n"
        "                    {\"text\": ...} are one each (.jsonl, .ndjson, or the first line tells). In a\n"
        "                    directory: .txt .text .md .jsonl .ndjson .json and names of encodings (.sjis .euc\n"
        "                    ...); what is left out is listed, wabun corpus build reads it all. Packed\n"
        "                    files and archives (.gz .bz2 .xz .zst .tar .tgz .zip .7z, WARC) are opened, each file\n"
        "                    in them is one of these; one rank reads each of them, so give it several\n"
        "  --validation F    this share of the documents, such as 0.01, goes to PREFIX-valid.bin and .idx\n"
        "  --from NAME       encoding of the inputs: utf-8, cp932, euc-jp, iso-2022-jp, utf-16 or any that iconv\n"
        "                    knows; auto (default): convert from those where that is certain, and say so\n"
        "  --keep-garbled    go on where more than a tenth, of documents or text, is not converted (exit code 5)\n"
        "  --answers         lines of JSON are {\"prompt\": ..., \"response\": ...}; only the tokens of the response\n"
        "                    count in training: PREFIX.mask has a byte for each token, 1 where it does\n"
        "  --text-field F    field of a line of JSON that is its text (text)\n"
        "  --bad-lines X     stop: end at the first line that cannot be read; skip: leave out any number. Default:\n"
        "                    leave them out; write nothing if more than 100 and more than 1 % are bad (exit code 5)\n"
        "  --keep-crlf       do not make LF of CRLF\n"
        "  --force           replace token files that another command made; the same command makes its own again\n"
        "  --jsonl           stdin lines {\"text\": ...} become stdout lines {\"ids\": [...]}, as they are\n"
        "  --threads N       threads of a rank (default: OMP_NUM_THREADS, or cores / ranks)\n"
        "\n"
        "Directories are walked in the order of names. A byte order mark at the start of a file is left out. Each\n"
        "document ends in <|endoftext|>. The files are Megatron's indexed data set. A file that is converted is\n"
        "read whole by one thread, 1 GiB at most. Under mpirun the ranks share the input; the file is the same on\n"
        "any number of them. With --jsonl each task works by itself.\n"
        "\n"
        "For validation a document is chosen by a hash of its text (its first 64 KiB), so it stays there when the\n"
        "corpus grows. Of fewer than 10 documents each is cut at a line end: its last part is for validation.\n",
};
