/* The library libwabun-tokenizer (wabun/tokenizer.h): the tokenizers, for other people's programs.
 *
 * A thin layer over text.h: arguments are checked, results go into the caller's arrays, the thread's error record is
 * what wabun_error_text() gives.  Built with quiet.c of base, nothing in it prints or ends the process.
 *
 * Not done here: anything with text. */
#include "config.h"

#include <limits.h>
#include <string.h>

#include "tokenizer/tokenizer_priv.h"
#include "wabun/tokenizer.h"

struct wabun_tokenizer {
    wb_tokenizer_t *t;
};

struct wabun_stream {
    wb_stream_t *s;
    wb_buf_t text;
};

_Static_assert((int) WABUN_USAGE == (int) WB_EUSAGE && (int) WABUN_FILE == (int) WB_EIO &&
                   (int) WABUN_MEMORY == (int) WB_ENOMEM && (int) WABUN_DATA == (int) WB_EDATA,
               "one numbering");

const char *wabun_version (void) { return PACKAGE_VERSION; }

const char *wabun_error_text (void) { return wb_error_get ()->text; }

/* Every function that can fail begins with this. */
#define BEGIN(ok, what)                                                              \
    do {                                                                             \
        wb_error_clear ();                                                           \
        if (!(ok)) return (wabun_status) WB_FAIL (WB_EUSAGE, "%s: " what, __func__); \
    } while (0)

static wabun_status too_small (size_t need, size_t capacity, const char *what) {
    (void) WB_FAIL (WB_EUSAGE, "%zu %s, and the array has room for %zu", need, what, capacity);
    return WABUN_TOO_SMALL;
}

/* Looking for files takes want of memory for their absence; the record knows better. */
static wabun_status result (wb_status status) {
    return status != WB_OK && wb_error_get ()->status == WB_ENOMEM ? WABUN_MEMORY : (wabun_status) status;
}

/* ---- tokenizers ------------------------------------------------------------------------------------------------ */

static wabun_status open_place (wabun_tokenizer **out, const wb_place_t *place) {
    wabun_tokenizer *t = wb_calloc (1, sizeof *t);
    wb_status status = t != NULL ? wb_tokenizer_open (&t->t, place) : WB_NOMEM ("tokenizer");
    if (status == WB_OK)
        *out = t;
    else
        wb_free (t);
    return result (status);
}

wabun_status wabun_tokenizer_open (wabun_tokenizer **out, const char *path) {
    BEGIN (out != NULL && path != NULL, "out or path is NULL");
    wb_place_t place;
    *out = NULL;
    wb_status status = wb_place_init (&place, path);
    wabun_status done = status == WB_OK ? open_place (out, &place) : (wabun_status) status;
    wb_place_fini (&place);
    return done;
}

wabun_status wabun_tokenizer_open_memory (wabun_tokenizer **out, const wabun_file *files, size_t n) {
    BEGIN (out != NULL && (files != NULL || n == 0), "out or files is NULL");
    *out = NULL;
    for (size_t i = 0; i < n; i++)
        BEGIN (files[i].name != NULL && (files[i].data != NULL || files[i].bytes == 0), "a name or data is NULL");
    wb_blob_t *blobs = wb_calloc (n + 1, sizeof *blobs);
    if (blobs == NULL) return (wabun_status) WB_NOMEM ("tokenizer");
    for (size_t i = 0; i < n; i++) blobs[i] = (wb_blob_t){files[i].name, files[i].data, files[i].bytes};
    const wb_place_t place = {.spec = "memory", .memory = true, .blobs = blobs, .nblobs = n};
    wabun_status status = open_place (out, &place);
    wb_free (blobs);
    return status;
}

void wabun_tokenizer_close (wabun_tokenizer *t) {
    if (t == NULL) return;
    wb_tokenizer_destroy (t->t);
    wb_free (t);
}

const char *wabun_tokenizer_kind (const wabun_tokenizer *t) { return wb_tokenizer_kind (t->t); }
int32_t wabun_tokenizer_size (const wabun_tokenizer *t) { return wb_tokenizer_size (t->t); }
int32_t wabun_tokenizer_eot (const wabun_tokenizer *t) { return wb_tokenizer_eot (t->t); }
int32_t wabun_tokenizer_unknown (const wabun_tokenizer *t) { return t->t->unknown; }
int32_t wabun_tokenizer_find (const wabun_tokenizer *t, const char *name) {
    return name != NULL ? t->t->kind->find (t->t, name) : -1;
}

wabun_status wabun_tokenizer_piece (const wabun_tokenizer *t, const char **bytes, size_t *n, int32_t id) {
    BEGIN (t != NULL && bytes != NULL && n != NULL, "an argument is NULL");
    return (wabun_status) wb_tokenizer_piece (t->t, bytes, n, id);
}

/* ---- text to ids and back -------------------------------------------------------------------------------------- */

wabun_status wabun_encode (const wabun_tokenizer *t, int32_t *ids, size_t capacity, size_t *count, const char *text,
                           size_t n, unsigned flags) {
    BEGIN (t != NULL && count != NULL && (ids != NULL || capacity == 0) && (text != NULL || n == 0),
           "t, ids, count or text is NULL");
    BEGIN ((flags & ~WABUN_CLEAN) == 0, "unknown flags");
    wb_ids_t out = {0};
    *count = 0;
    wabun_status status = (wabun_status) wb_tokenizer_encode (t->t, &out, text, n, (flags & WABUN_CLEAN) != 0);
    if (status == WABUN_OK) {
        *count = (size_t) out.len;
        if (*count > capacity)
            status = too_small (*count, capacity, "ids");
        else if (out.len > 0)
            memcpy (ids, out.data, *count * sizeof *ids);
    }
    wb_ids_fini (&out);
    return status;
}

wabun_status wabun_decode (const wabun_tokenizer *t, char *text, size_t capacity, size_t *bytes, const int32_t *ids,
                           size_t n) {
    BEGIN (t != NULL && bytes != NULL && (text != NULL || capacity == 0) && (ids != NULL || n == 0),
           "t, text, bytes or ids is NULL");
    BEGIN (n <= PTRDIFF_MAX / sizeof *ids, "more ids than memory can hold");
    wb_buf_t out = {0};
    *bytes = 0;
    wabun_status status = (wabun_status) wb_tokenizer_decode (t->t, &out, ids, (int64_t) n);
    if (status == WABUN_OK) {
        *bytes = out.len;
        if (out.len > capacity)
            status = too_small (out.len, capacity, "bytes");
        else if (out.len > 0)
            memcpy (text, out.data, out.len);
    }
    wb_buf_fini (&out);
    return status;
}

/* ---- streams --------------------------------------------------------------------------------------------------- */

wabun_status wabun_stream_open (wabun_stream **out, const wabun_tokenizer *t) {
    BEGIN (out != NULL && t != NULL, "out or t is NULL");
    wabun_stream *s = wb_calloc (1, sizeof *s);
    *out = NULL;
    wb_status status = s != NULL ? wb_stream_new (&s->s, t->t) : WB_NOMEM ("streaming decoder");
    if (status == WB_OK)
        *out = s;
    else
        wb_free (s);
    return (wabun_status) status;
}

static wabun_status put (wabun_stream *s, const char **text, size_t *n, int32_t id, bool flush) {
    BEGIN (s != NULL && text != NULL && n != NULL, "an argument is NULL");
    wb_buf_clear (&s->text);
    wb_status status = wb_stream_put (s->s, &s->text, id, flush);
    *text = s->text.data != NULL ? s->text.data : "";
    *n = status == WB_OK ? s->text.len : 0;
    return (wabun_status) status;
}

wabun_status wabun_stream_put (wabun_stream *s, const char **text, size_t *n, int32_t id) {
    BEGIN (id >= 0, "an id below 0");
    return put (s, text, n, id, false);
}

wabun_status wabun_stream_finish (wabun_stream *s, const char **text, size_t *n) { return put (s, text, n, -1, true); }

void wabun_stream_close (wabun_stream *s) {
    if (s == NULL) return;
    wb_stream_destroy (s->s);
    wb_buf_fini (&s->text);
    wb_free (s);
}
