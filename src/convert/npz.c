/* Token files of gpt2-japanese's encoder: numpy.savez_compressed() of arrays of ids, a zip of .npy files.
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3.  An array may be of
 * any integers of 8 to 64 bits, in either order of bytes, of any shape; it is read as it lies there.
 *
 * Going out, an array has whole documents, of 50,000 ids and more in all, as int32.
 *
 * Not done here: .npy files alone. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/zip.h"
#include "wabun/dataset.h"

#define PIECE 16384      /* ids read at a time */
#define HEADER_MAX 16384 /* bytes of the header of an array */
#define ARRAY_IDS 50000  /* of an array that is written, at least */

/* ---- the header of an array -------------------------------------------------------------------------------------- */

typedef struct array {
    int64_t n;
    int bytes; /* of a number */
    bool is_signed, big;
} array_t;

static wb_status odd (const wb_unzip_t *u, const char *what) {
    return WB_FAIL (WB_EDATA, "%s: '%.100s': %s: not an array of ids", u->zip->file->path, u->entry->name, what);
}

/* The value of a key of the dictionary in the header: what follows its colon. */
static const char *value_of (const char *header, const char *key) {
    const char *at = strstr (header, key);
    if (at == NULL) return NULL;
    for (at += strlen (key); *at == ' '; at++) continue;
    if (*at != ':') return NULL;
    for (at++; *at == ' '; at++) continue;
    return at;
}

/* '<i4', '|u1' ... */
static bool take_type (array_t *a, const char *text) {
    if (text == NULL || (text[0] != '\'' && text[0] != '"') || strchr ("<>|=", text[1]) == NULL || text[1] == 0)
        return false;
    a->big = text[1] == '>';
    a->is_signed = text[2] == 'i';
    if (text[2] != 'i' && text[2] != 'u') return false;
    a->bytes = text[3] - '0';
    return (a->bytes == 1 || a->bytes == 2 || a->bytes == 4 || a->bytes == 8) && text[4] == text[0];
}

/* (3, 4), (5,), (): the product. */
static bool take_shape (array_t *a, const char *text) {
    a->n = 1;
    if (text == NULL || *text++ != '(') return false;
    while (true) {
        int64_t x = 0;
        int digits = 0;
        while (*text == ' ') text++;
        if (*text == ')') return true;
        for (; *text >= '0' && *text <= '9' && digits < 18; text++, digits++) x = 10 * x + (*text - '0');
        if (digits == 0 || __builtin_mul_overflow (a->n, x, &a->n)) return false;
        while (*text == ' ') text++;
        if (*text == ',')
            text++;
        else if (*text != ')')
            return false;
    }
}

static wb_status read_header (array_t *a, wb_unzip_t *u, char *header) {
    unsigned char head[8], more[4] = {0};
    WB_TRY (wb_unzip_take (u, head, sizeof head));
    if (memcmp (head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3) return odd (u, "no header of NumPy");
    WB_TRY (wb_unzip_take (u, more, head[6] == 1 ? 2 : 4));
    const size_t n = more[0] | (size_t) more[1] << 8 | (size_t) more[2] << 16 | (size_t) more[3] << 24;
    if (n >= HEADER_MAX) return odd (u, "its header is too long");
    WB_TRY (wb_unzip_take (u, header, n));
    header[n] = 0;
    const char *order = value_of (header, "'fortran_order'"), *type = value_of (header, "'descr'");
    if (!take_type (a, type)) return odd (u, "its numbers are not integers");
    if (!take_shape (a, value_of (header, "'shape'"))) return odd (u, "an odd shape");
    if (order == NULL || strncmp (order, "False", 5) != 0) return odd (u, "it lies column by column");
    if (a->n > INT64_MAX / 8 || a->n * a->bytes != u->left) return odd (u, "its size is not that of its shape");
    return WB_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

typedef struct work {
    wb_zip_t zip;
    wb_zip_entry_t entry;
    wb_unzip_t unzip;
    char header[HEADER_MAX];
    unsigned char raw[8 * PIECE];
    int32_t ids[PIECE];
} work_t;

static bool convert (int32_t *ids, const unsigned char *raw, int64_t n, const array_t *a) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t x = 0;
        for (int k = 0; k < a->bytes; k++) x |= (uint64_t) raw[i * a->bytes + k] << 8 * (a->big ? a->bytes - 1 - k : k);
        if (a->is_signed && (x >> (8 * a->bytes - 1) & 1) != 0) return false;
        if (x > INT32_MAX) return false;
        ids[i] = (int32_t) x;
    }
    return true;
}

static wb_status read_array (work_t *w, array_t *a, wb_take_ids_fn take, void *ctx) {
    WB_TRY (read_header (a, &w->unzip, w->header));
    if (a->n == 0) return take (ctx, w->ids, 0, true);
    for (int64_t i = 0; i < a->n; i += PIECE) {
        const int64_t n = a->n - i < PIECE ? a->n - i : PIECE;
        WB_TRY (wb_unzip_take (&w->unzip, w->raw, (size_t) (n * a->bytes)));
        if (!convert (w->ids, w->raw, n, a)) return odd (&w->unzip, "a number below 0 or beyond 31 bits");
        WB_TRY (take (ctx, w->ids, n, i + n == a->n));
    }
    return WB_OK;
}

/* All arrays, or with take == NULL the headers only. */
static wb_status walk (work_t *w, const char *path, int64_t *arrays, int64_t *ids, wb_take_ids_fn take, void *ctx) {
    *arrays = *ids = 0;
    WB_TRY (wb_zip_open (&w->zip, path));
    while (true) {
        bool more;
        array_t a;
        WB_TRY (wb_zip_next (&w->zip, &w->entry, &more));
        if (!more) return WB_OK;
        if (!wb_ends_with (w->entry.name, ".npy"))
            return WB_FAIL (WB_EDATA, "%s: '%.100s' is no array of NumPy", path, w->entry.name);
        wb_status status = wb_unzip_begin (&w->unzip, &w->zip, &w->entry);
        if (status == WB_OK)
            status = take != NULL ? read_array (w, &a, take, ctx) : read_header (&a, &w->unzip, w->header);
        if (take == NULL) w->unzip.left = 0, w->unzip.crc = w->entry.crc; /* the rest is not looked at */
        WB_TRY (wb_unzip_end (&w->unzip, status));
        ++*arrays;
        if (__builtin_add_overflow (*ids, a.n, ids)) return WB_FAIL (WB_EDATA, "%s: too many ids", path);
    }
}

static wb_status walk_file (const char *path, int64_t *arrays, int64_t *ids, wb_take_ids_fn take, void *ctx) {
    work_t *w = wb_calloc (1, sizeof *w);
    if (w == NULL) return WB_NOMEM ("%s", path);
    const wb_status status = walk (w, path, arrays, ids, take, ctx);
    if (w->zip.file != NULL) wb_zip_close (&w->zip);
    wb_free (w);
    return status;
}

static wb_status read_ids (const char *path, wb_take_ids_fn take, void *ctx) {
    int64_t arrays, ids;
    return walk_file (path, &arrays, &ids, take, ctx);
}

static wb_status inspect (json_t *facts, const char *path) {
    int64_t arrays, ids;
    WB_TRY (walk_file (path, &arrays, &ids, NULL, NULL));
    WB_TRY (wb_fact_int (facts, "arrays", arrays));
    return wb_fact_int (facts, "tokens", ids);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static wb_status put_header (wb_buf_t *b, int64_t n) {
    char text[128], head[10] = "\x93NUMPY\x01";
    const int used =
        snprintf (text, sizeof text, "{'descr': '<i4', 'fortran_order': False, 'shape': (%" PRId64 ",), }", n);
    for (int i = used; i < 117; i++) text[i] = ' '; /* with its 10 bytes before it a multiple of 64 */
    text[117] = '\n';
    head[8] = 118;
    WB_TRY (wb_buf_put (b, head, sizeof head));
    return wb_buf_put (b, text, 118);
}

/* Ids first .. first + n - 1 as an array. */
static wb_status put_array (wb_zip_writer_t *z, wb_buf_t *b, const wb_tokens_t *f, int64_t first, int64_t n) {
    char name[32];
    wb_buf_clear (b);
    if (n > INT32_MAX / 8) return WB_FAIL (WB_EDATA, "%s: a document of %" PRId64 " ids", wb_tokens_path (f), n);
    WB_TRY (put_header (b, n));
    WB_TRY (wb_buf_reserve (b, (size_t) n * sizeof (int32_t)));
    for (int64_t i = 0; i < n; i += 1024) {
        int32_t ids[1024];
        const int64_t m = n - i < 1024 ? n - i : 1024;
        WB_TRY (wb_tokens_read (f, ids, first + i, m));
        WB_TRY (wb_buf_put (b, ids, (size_t) m * sizeof *ids));
    }
    snprintf (name, sizeof name, "arr_%" PRId64 ".npy", z->entries);
    return wb_zip_writer_put (z, name, b->data, b->len);
}

/* Documents that do not end alike have an array each: else nobody could tell them apart. */
static wb_status put_all (wb_zip_writer_t *z, wb_buf_t *b, const wb_tokens_t *f, int32_t eot) {
    const int64_t documents = wb_tokens_documents (f);
    int64_t from = 0, have = 0;
    for (int64_t i = 0; i < documents; i++) {
        int64_t first, n;
        WB_TRY (wb_tokens_document (f, &first, &n, i));
        have += n;
        if (eot >= 0 && have < ARRAY_IDS && i + 1 < documents) continue;
        WB_TRY (put_array (z, b, f, from, have));
        from += have;
        have = 0;
    }
    return WB_OK;
}

static wb_status write_ids (const wb_export_t *x, const wb_tokens_t *f, int32_t eot) {
    wb_zip_writer_t z;
    wb_buf_t b = {0};
    wb_status status = wb_zip_writer_begin (&z, x->out);
    if (status == WB_OK) status = put_all (&z, &b, f, eot);
    if (status == WB_OK) status = wb_zip_writer_end (&z);
    wb_zip_writer_cancel (&z);
    wb_buf_fini (&b);
    return status;
}

/* A zip whose first entry is an array, or that is called .npz. */
static bool probe (const wb_look_t *look) {
    const unsigned char *head = look->head;
    if (look->directory || look->nhead < 4 || memcmp (head, "PK", 2) != 0) return false;
    const size_t name = look->nhead >= 30 ? (size_t) head[26] | (size_t) head[27] << 8 : 0;
    if (name >= 4 && 30 + name <= look->nhead && memcmp (head + 30 + name - 4, ".npy", 4) == 0) return true;
    return wb_ends_with (look->name, ".npz");
}

const wb_format_t wb_format_npz = {
    .name = "npz",
    .what = "tokens of gpt2-japanese's encoder (arrays of NumPy)",
    .opened_by = "gpt2-japanese and numpy.load",
    .keeps = "all ids and documents",
    .probe = probe,
    .inspect = inspect,
    .read_ids = read_ids,
    .write_ids = write_ids,
};
