/* the text of a configuration: numbers of 64 bits, included files, encodings, characters that look alike
 */
#include "config.h"

#include <string.h>

#include "t.h"
#include "unit/make_config.h"

/* Whole numbers of a file: 64 bits, with and without L, in decimal and hexadecimal. */
static void test_numbers (void) {
    static const struct {
        const char *text;
        int64_t seed;
    } good[] = {{"4294967297", 4294967297},
                {"4294967297L", 4294967297},
                {"4294967297LL", 4294967297},
                {"2147483648", 2147483648},
                {"2147483647", 2147483647},
                {"0xFFFFFFFF", 4294967295},
                {"0x100000001L", 4294967297},
                {"010", 10},
                {"+7", 7},
                {"1000000000000", 1000000000000}};
    wb_config_t *c;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[256];
        snprintf (text, sizeof text, BASE "seed = %s;", good[i].text);
        if (!T_STATUS (make (&c, text, NULL), WB_OK)) continue;
        T_OK (c->seed == good[i].seed, "%s: %lld", good[i].text, (long long) c->seed);
        wb_config_destroy (c);
    }
    if (T_STATUS (make (&c, BASE "train = { lr = 3; eps=.5; clip = 5.;min_lr=1e-3;weight_decay=+2.5E+0; };", NULL),
                  WB_OK)) {
        T_OK (c->step.optim.lr == 3 && c->step.optim.eps == 0.5 && c->step.optim.clip == 5 &&
                  c->step.optim.min_lr == 1e-3 && c->step.optim.weight_decay == 2.5,
              "numbers with a point");
        wb_config_destroy (c);
    }
    if (T_STATUS (make (&c, BASE, "data.train=({tokens=\"a\"; weight=4294967297;})"), WB_OK)) {
        T_OK (c->data.train.list[0].weight == 4294967297.0, "a weight");
        wb_config_destroy (c);
    }
    REFUSED (BASE "seed = 1;\ntrain = { global_batch = 4294967298; };", NULL,
             "a.cfg:6: `train.global_batch` = 4294967298 is out of range: 1 <= x <= 10000000");
    REFUSED (BASE "seed = 9223372036854775808;", NULL, "a.cfg:5: 9223372036854775808 does not fit into 64 bits");
    REFUSED (BASE "seed = 0x18000000000000000L;", NULL, "a.cfg:5: 0x18000000000000000 does not fit into 64 bits");
    REFUSED (BASE "train = {\n lr = 99999999999999999999; };", NULL,
             "a.cfg:6: 99999999999999999999 does not fit into 64 bits");
    REFUSED (BASE "train = { lr = .; };", NULL, "a.cfg:5: a point without digits is not a number");
    REFUSED (BASE "train = { lr = -; };", NULL, "a.cfg:5: syntax error: write key = value; with text in \"quotes\"");
    REFUSED (BASE "train = { lr = 1e; };", NULL, "a.cfg:5: syntax error: write key = value; with text in \"quotes\"");
}

static void write_text (const char *name, const char *text) {
    T_STATUS (wb_file_write (t_tmp (name), text, strlen (text)), WB_OK);
}

/* Included files: their lines are theirs, and what cannot be read ends in an error. */
static void test_include (void) {
    char text[1024], want[512], path[256];
    wb_config_t *c;
    snprintf (path, sizeof path, "%s", t_tmp ("in.cfg"));
    write_text ("in.cfg", "seed = 4294967297; # no line feed at the end\ntrain = { steps = 7; };");
    snprintf (text, sizeof text, BASE "  @include \"%s\" log = { every = 3; };\ncheckpoint = { every = 4; };\n", path);
    if (T_STATUS (make (&c, text, NULL), WB_OK)) {
        T_OK (c->seed == 4294967297 && c->step.optim.steps == 7 && c->run.log_every == 3 &&
                  c->run.checkpoint_every == 4,
              "included");
        wb_config_destroy (c);
    }
    snprintf (text, sizeof text, BASE "@include \"%s\" lgo = { every = 3; };\n", path);
    REFUSED (text, NULL, "a.cfg:5: unknown key `lgo`; did you mean `log`?");
    write_text ("in.cfg", "seed = 4;\n\ntrain = { stesp = 7; };\n");
    snprintf (text, sizeof text, BASE "\n@include \"%s\"\nlog = { every = 3; };\n", path);
    REFUSED (text, NULL, "in.cfg:3: unknown key `train.stesp`; did you mean `train.steps`?");
    write_text ("in.cfg", "seed = 4;\n= 3;\n");
    REFUSED (text, NULL, "in.cfg:2: syntax error: write key = value; with text in \"quotes\"");
    write_text ("in.cfg", "seed = 4; @include \"x\"\n");
    REFUSED (text, NULL, "in.cfg:1: syntax error: write key = value; with text in \"quotes\"");
    write_text ("in.cfg", "seed = 4;\nrun = \"x\n");
    REFUSED (text, NULL, "in.cfg:2: the string that begins here does not end: a \" is missing");
    write_text ("in.cfg", "# @include \"nowhere\"\n/* \n@include \"nowhere\" */ seed = 4;");
    if (T_STATUS (make (&c, text, NULL), WB_OK)) wb_config_destroy (c);
    snprintf (text, sizeof text, "@include \"%s\"\n", path);
    write_text ("in.cfg", text);
    snprintf (text, sizeof text, BASE "\n@include \"%s\"\n", path);
    snprintf (want, sizeof want, "in.cfg:1: @include: %s includes itself", path);
    REFUSED (text, NULL, want);
    snprintf (text, sizeof text, "@include \"%s\"\n", t_tmp ("a.cfg"));
    snprintf (want, sizeof want, "a.cfg:1: @include: %s includes itself", t_tmp ("a.cfg"));
    REFUSED (text, NULL, want);
    snprintf (text, sizeof text, BASE "@include \"%s\"\n", t_tmp ("nowhere"));
    snprintf (want, sizeof want, "a.cfg:5: @include: there is no file %s", t_tmp ("nowhere"));
    REFUSED_AS (WB_EIO, text, want);
    snprintf (text, sizeof text, BASE "@include \"%s\"\n", t_tmp (""));
    snprintf (want, sizeof want, "a.cfg:5: @include: %s is a directory", t_tmp (""));
    REFUSED_AS (WB_EIO, text, want);
    /* eleven files that include one another */
    for (int i = 0; i < 12; i++) {
        char name[16];
        snprintf (name, sizeof name, "i%d", i + 1);
        snprintf (text, sizeof text, "@include \"%s\"\n", t_tmp (name));
        snprintf (name, sizeof name, "i%d", i);
        write_text (name, i < 11 ? text : "");
    }
    snprintf (text, sizeof text, "@include \"%s\"\n", t_tmp ("i0"));
    REFUSED (text, NULL, "i9:1: @include: files include each other more than 10 deep");
}

/* Japanese where it belongs, and where it does not. */
static void test_encoding (void) {
    wb_config_t *c;
    if (T_STATUS (
            make (&c, "# 全角　；は “ここ” なら良い\n/* １２ */" BASE "sample = { context = \"１２；”\"; };", NULL),
            WB_OK)) {
        T_OK (strcmp (c->run.sample_context, "１２；”") == 0, "in quotes");
        wb_config_destroy (c);
    }
    REFUSED (BASE "seed　= 1;", NULL, "a.cfg:5: `　` (U+3000) is not a plain space: type ` ` instead");
    REFUSED (BASE "seed = １;", NULL, "a.cfg:5: `１` (U+FF11) is not `1`: type `1` instead");
    REFUSED (BASE "seed = 1；\n", NULL, "a.cfg:5: `；` (U+FF1B) is not `;`: type `;` instead");
    REFUSED (BASE "seed ＝ 1;\n", NULL, "a.cfg:5: `＝` (U+FF1D) is not `=`: type `=` instead");
    REFUSED (BASE "seed = 1。\n", NULL, "a.cfg:5: `。` (U+3002) is not `;`: type `;` instead");
    REFUSED ("\nrun = “r”;", NULL, "a.cfg:2: `“` (U+201C) is not `\"`: type `\"` instead");
    REFUSED ("\nrun = \"r”;\ntokenizer = \"byte\";", NULL, "a.cfg:2: `”` (U+201D) is not `\"`: type `\"` instead");
    REFUSED ("\nrun = \"r”;\n", NULL, "a.cfg:2: `”` (U+201D) is not `\"`: type `\"` instead");
    REFUSED (BASE "train = { lr = −1; };", NULL, "a.cfg:5: `−` (U+2212) is not `-`: type `-` instead");
    REFUSED (BASE "\xe2\x80\x8bseed = 1;", NULL, "a.cfg:5: an invisible character (U+200B): remove it");
    REFUSED (BASE "種 = 1;", NULL, "a.cfg:5: `種` (U+7A2E) is outside quotes: write texts as \"...\"");
    REFUSED (BASE "/* open\n", NULL, "a.cfg:5: the comment /* that begins here does not end: `*/` is missing");

    char want[512];
    snprintf (want, sizeof want,
              "a.cfg:5: the file looks like Shift_JIS: save it as UTF-8, or iconv -f CP932 -t UTF-8 %s >NEW",
              t_tmp ("a.cfg"));
    REFUSED (BASE "# \x93\xfa\x96\x7b\x8c\xea\n", NULL, want);
    snprintf (want, sizeof want,
              "a.cfg:5: the file looks like EUC-JP: save it as UTF-8, or iconv -f EUC-JP -t UTF-8 %s >NEW",
              t_tmp ("a.cfg"));
    REFUSED (BASE "# \xc6\xfc\xcb\xdc\xb8\xec\n", NULL, want);
    REFUSED (BASE "run = \"\xff\xfe\";", NULL, "a.cfg:5: byte 0xff is not UTF-8: save the file as UTF-8");
    REFUSED (BASE "# \x1b$BF|K\\8l\x1b(B\n", NULL, "a.cfg:5: the file is in ISO-2022-JP: save it as UTF-8");
    const char utf16[] = "\xff\xfer\0u\0n\0";
    T_STATUS (wb_file_write (t_tmp ("a.cfg"), utf16, sizeof utf16 - 1), WB_OK);
    T_OK (wb_config_new (&c, t_tmp ("a.cfg"), NULL, 0) == WB_EUSAGE &&
              strstr (wb_error_get ()->text, "a.cfg:1: the file is in UTF-16") != NULL,
          "%s", wb_error_get ()->text);
    wb_error_clear ();
}

/* As many token files as one likes. */
static void test_many_parts (void) {
    wb_buf_t b = {0};
    wb_config_t *c;
    char one[32];
    T_STATUS (wb_buf_put (&b, "data.train=(", 12), WB_OK);
    for (int i = 0; i < 500; i++) {
        const int n = snprintf (one, sizeof one, "%s\"a%d\"", i > 0 ? "," : "", i);
        T_STATUS (wb_buf_put (&b, one, (size_t) n), WB_OK);
    }
    T_STATUS (wb_buf_put (&b, ")", 1), WB_OK);
    if (T_STATUS (make (&c, BASE, b.data), WB_OK)) {
        T_OK (c->data.train.n == 500 && strcmp (c->data.train.list[499].name, "a499") == 0, "500 token files");
        wb_config_destroy (c);
    }
    wb_buf_fini (&b);
}

int main (void) {
    test_numbers ();
    test_include ();
    test_encoding ();
    test_many_parts ();
    return T_DONE ();
}
