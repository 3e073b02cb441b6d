/* A text that a person and a model write by turns, in a terminal.
 *
 * The text is a list of stretches, each a person's line or what the model wrote; the model always goes on from the
 * whole.  Taking back is taking a stretch from the end.  What is edited elsewhere comes back as one stretch.  Ctrl-C
 * ends a stretch, not the program.
 *
 * Not here: drawing (generate.c); the page of wabun serve, which has more. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "infer/infer_priv.h"

enum { STRETCHES = 1000 };

typedef struct desk {
    const wb_model_t *m;
    wb_generation_t g;
    wb_buf_t text;
    size_t begin[STRETCHES]; /* where the stretches begin */
    bool models[STRETCHES];  /* written by the model */
    int n;
    bool tty;
    char *file; /* where it is saved */
} desk_t;

static const char help[] = "  (empty line)   the model goes on\n"
                           "  TEXT           is put at the end; the next empty line goes on from there\n"
                           "  :r             another try: takes back what the model wrote last, and writes again\n"
                           "  :u             takes back the last stretch\n"
                           "  :e             the whole text in $EDITOR\n"
                           "  :p             shows the whole text\n"
                           "  :n N           tokens of a stretch;  :t X  temperature\n"
                           "  :s [FILE]      saves the text\n"
                           "  :q             ends\n";

static wb_status add (desk_t *d, const char *s, size_t n, bool models) {
    if (n == 0) return WB_OK;
    if (d->n == STRETCHES) { /* the oldest two become one */
        memmove (d->begin + 1, d->begin + 2, (STRETCHES - 2) * sizeof *d->begin);
        memmove (d->models + 1, d->models + 2, (STRETCHES - 2) * sizeof *d->models);
        d->n--;
    }
    d->begin[d->n] = d->text.len;
    d->models[d->n++] = models;
    return wb_buf_put (&d->text, s, n);
}

static bool take_back (desk_t *d) {
    if (d->n == 0) return false;
    d->text.len = d->begin[--d->n];
    d->text.data[d->text.len] = 0;
    return true;
}

/* A failure after which the text is still here. */
static void warn (void) {
    wb_warn ("%s", wb_error_get ()->text);
    wb_error_clear ();
}

/* ---- the model's turn -------------------------------------------------------------------------------------------- */

typedef struct turn {
    wb_buf_t text;
} turn_t;

static wb_status print (void *ctx, int64_t sample, const char *text, size_t n, bool end) {
    turn_t *t = ctx;
    (void) sample, (void) end;
    WB_TRY (wb_buf_put (&t->text, text, n));
    WB_TRY (wb_write (stdout, "standard output", text, n));
    return wb_flush (stdout, "standard output");
}

static wb_status emit (void *ctx, int64_t sample, int32_t id) {
    (void) ctx, (void) sample, (void) id;
    return wb_interrupted () ? WB_ESTOP : WB_OK;
}

static wb_status go_on (desk_t *d) {
    turn_t t = {0};
    wb_ids_t ids = {0};
    wb_generation_t g = d->g;
    wb_interrupt_forget ();
    wb_status status =
        wb_tokenizer_encode (d->m->tokenizer, &ids, d->text.data != NULL ? d->text.data : "", d->text.len, false);
    if (status == WB_OK) status = wb_texts_new (&g.texts, d->m->tokenizer, &g, true, print, &t);
    if (status == WB_OK) {
        d->g.sampling.seed++; /* of the next stretch */
        g.context = ids.data, g.ncontext = ids.len, g.emit = emit;
        status = wb_generate (d->m, &g);
        if (status == WB_ESTOP) status = wb_texts_finish (g.texts);
        wb_texts_destroy (g.texts);
    }
    if (status == WB_OK && t.text.len == 0) wb_info ("(the model ends the text here)");
    if (status == WB_OK) status = wb_write (stdout, "standard output", "\n", 1);
    if (status == WB_OK) status = add (d, t.text.data, t.text.len, true);
    wb_ids_fini (&ids);
    wb_buf_fini (&t.text);
    return status;
}

/* ---- the person's turn ------------------------------------------------------------------------------------------- */

static wb_status show (const desk_t *d) {
    WB_TRY (wb_write (stdout, "standard output", d->text.len > 0 ? d->text.data : "", d->text.len));
    WB_TRY (wb_write (stdout, "standard output", "\n", 1));
    return wb_flush (stdout, "standard output");
}

static wb_status save (desk_t *d, const char *file) {
    if (file[0] != 0) {
        wb_free (d->file);
        d->file = wb_format ("%s", file);
        if (d->file == NULL) return WB_NOMEM ("a name");
    }
    if (d->file == NULL) {
        wb_warn (":s FILE: where to?");
        return WB_OK;
    }
    if (wb_file_write (d->file, d->text.len > 0 ? d->text.data : "", d->text.len) == WB_OK)
        wb_info ("saved: %s, %zu bytes", d->file, d->text.len);
    else
        warn (); /* the text is still here */
    return WB_OK;
}

/* The editor is the user's own command, with arguments perhaps, so a shell runs it: the file comes as $1. */
static wb_status run_editor (const char *path) {
    const char *editor = getenv ("VISUAL");
    if (editor == NULL || editor[0] == 0) editor = getenv ("EDITOR");
    if (editor == NULL || editor[0] == 0) editor = "vi";
    char *command = wb_format ("%s \"$1\"", editor);
    if (command == NULL) return WB_NOMEM ("a command");
    fflush (NULL);
    const pid_t child = fork ();
    if (child == 0) {
        execl ("/bin/sh", "sh", "-c", command, "sh", path, (char *) NULL);
        _exit (127);
    }
    int how = 0;
    wb_free (command);
    while (child > 0 && waitpid (child, &how, 0) < 0)
        if (errno != EINTR) break;
    if (child > 0 && how == 0) return WB_OK;
    return WB_FAIL (WB_EIO, "%s: the editor did not end well: the text stays as it was", editor);
}

static wb_status edit (desk_t *d) {
    const char *tmp = getenv ("TMPDIR");
    char *path = wb_format ("%s/wabun-XXXXXX", tmp != NULL && tmp[0] != 0 ? tmp : "/tmp"), *now = NULL;
    size_t n = 0;
    if (path == NULL) return WB_NOMEM ("a name");
    const int fd = mkstemp (path);
    if (fd < 0) {
        wb_warn ("%s: cannot write: %s", path, strerror (errno));
        wb_free (path);
        return WB_OK;
    }
    const int place = wb_temp_add (path), code = wb_fd_write (fd, d->text.data, d->text.len, -1);
    close (fd);
    wb_status status = code == 0 ? WB_OK : WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (code));
    if (status == WB_OK) status = run_editor (path);
    if (status == WB_OK) status = wb_file_read (&now, &n, path);
    if (status == WB_OK && n > 0 && now[n - 1] == '\n' && (d->text.len == 0 || d->text.data[d->text.len - 1] != '\n'))
        n--; /* editors put it there */
    unlink (path);
    wb_temp_drop (place);
    wb_free (path);
    if (status == WB_OK) {
        while (take_back (d)) {}
        status = add (d, now, n, false);
        if (status == WB_OK) status = show (d);
    } else {
        warn ();
        status = WB_OK;
    }
    wb_free (now);
    return status;
}

static void set (desk_t *d, const char *s) {
    double x;
    int64_t n;
    const bool length = s[0] == 'n';
    const char *value = s + 1 + strspn (s + 1, " ");
    const wb_status status = length ? wb_opt_int (&n, ":n", value, 1, 100000) : wb_opt_float (&x, ":t", value, 0, 100);
    if (status != WB_OK)
        warn ();
    else if (length)
        d->g.max_length = n;
    else
        d->g.sampling.temperature = x;
}

static wb_status command (desk_t *d, const char *s, bool *end) {
    switch (s[0]) {
    case 'q': *end = true; return WB_OK;
    case 'r':
        if (d->n > 0 && d->models[d->n - 1]) take_back (d);
        return go_on (d);
    case 'u':
        if (!take_back (d)) wb_info ("(there is nothing to take back)");
        return show (d);
    case 'e': return edit (d);
    case 'p': return show (d);
    case 's': return save (d, s + 1 + strspn (s + 1, " "));
    case 'n':
    case 't': set (d, s); return WB_OK;
    default: fputs (help, stderr); return WB_OK;
    }
}

/* One line; *end: it was the last. */
static wb_status take_line (desk_t *d, const char *s, size_t n, bool *end) {
    static const char wide[] = "\xef\xbc\x9a"; /* ：, of a Japanese keyboard */
    if (n == 0) return go_on (d);
    if (s[0] == ':') return command (d, s + 1, end);
    if (n >= 3 && memcmp (s, wide, 3) == 0) return command (d, s + 3, end);
    return add (d, s, n, false);
}

static wb_status loop (desk_t *d) {
    wb_lines_t in;
    const char *s;
    size_t n;
    bool end = false;
    WB_TRY (wb_lines_open (&in, "/dev/stdin"));
    wb_status status = WB_OK;
    while (status == WB_OK && !end) {
        if (d->tty) fputs ("> ", stderr);
        status = wb_lines_next (&in, &s, &n, true);
        if (status != WB_OK || s == NULL) break;
        if (n > 0 && s[n - 1] == '\r') n--;
        char *line = wb_format ("%.*s", (int) n, s);
        status = line != NULL ? take_line (d, line, n, &end) : WB_NOMEM ("a line");
        wb_free (line);
    }
    wb_lines_close (&in);
    return status;
}

wb_status wb_write_loop (const wb_write_loop_t *o, const wb_model_args_t *model) {
    wb_model_t *m;
    desk_t d = {.g = o->generation, .tty = isatty (STDIN_FILENO) == 1};
    char *begun = NULL;
    size_t n = 0;
    WB_TRY (wb_model_open (&m, model, "write"));
    d.m = m;
    wb_sampling_seed (&d.g.sampling, o->seed);
    wb_interrupt_begin ();
    wb_status status = WB_OK;
    if (o->file != NULL) {
        d.file = wb_format ("%s", o->file);
        if (d.file == NULL) status = WB_NOMEM ("a name");
        if (status == WB_OK && wb_file_exists (o->file)) status = wb_file_read (&begun, &n, o->file);
        if (status == WB_OK && begun != NULL) status = wb_text_read (&d.text, o->file, begun, n, &model->text);
        if (status == WB_OK && d.text.len > 0) status = show (&d);
    }
    if (status == WB_OK && d.tty) wb_info ("An empty line: the model goes on.  Text: yours.  :h help, :q end.");
    if (status == WB_OK) status = loop (&d);
    if (status == WB_OK && o->file != NULL) status = save (&d, "");
    wb_model_destroy (m);
    wb_buf_fini (&d.text);
    wb_free (begun);
    wb_free (d.file);
    wb_interrupt_forget ();
    wb_interrupt_end (WB_OK);
    return status;
}
