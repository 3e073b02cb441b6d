/* Token files, reading: Megatron's indexed dataset, PREFIX.bin (ids) and PREFIX.idx (where each sequence lies).
 *
 * Opening checks everything in the index that later reads rely on, so that no value in a file, however wrong, leads
 * outside of it.  Where the sequences lie one after the other, as every writer puts them, a position in the stream is a
 * position in the .bin; otherwise tables of positions are made.
 *
 * Both files are read, not mapped: when a disk or a network file system fails, or somebody truncates a file, a read
 * returns an error that names the place, where a mapped file would kill the process (SIGBUS).
 *
 * Not done here: compression, ids kept in memory (the system does that). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataset/dataset_priv.h"

#define READ_BYTES 16384              /* raw ids read at a time, on the stack */
#define CHECK_IDS ((int64_t) 1 << 16) /* ids checked at a time */

int wb_idx_width (int dtype) {
    switch (dtype) {
    case WB_IDX_U8:
    case WB_IDX_I8: return 1;
    case WB_IDX_I16:
    case WB_IDX_U16: return 2;
    case WB_IDX_I32: return 4;
    case WB_IDX_I64: return 8;
    default: return 0;
    }
}

/* n bytes of the .idx or .bin; that they are there was checked on opening. */
static wb_status read_bytes (const wb_tokens_t *f, void *buf, size_t n, int64_t at, const char *ending) {
    size_t got;
    const int fd = ending[0] == 'i' ? f->idx : ending[0] == 'm' ? f->mask : f->bin;
    int error = wb_fd_read (fd, buf, &got, n, at);
    if (error != 0)
        return WB_FAIL (WB_EIO, "%s.%s: cannot read at byte %" PRId64 ": %s", f->prefix, ending, at + (int64_t) got,
                        strerror (error));
    if (got < n)
        return WB_FAIL (WB_EIO, "%s.%s: no data at byte %" PRId64 ": it was truncated while it was in use", f->prefix,
                        ending, at + (int64_t) got);
    return WB_OK;
}

/* ---- the index -------------------------------------------------------------------------------------------------- */

static void begin (wb_idx_cursor_t *c, const wb_tokens_t *f, int64_t at) {
    c->f = f;
    c->at = at;
    c->used = c->have = 0;
}

void wb_idx_lengths (wb_idx_cursor_t *c, const wb_tokens_t *f) { begin (c, f, WB_IDX_HEADER); }
void wb_idx_pointers (wb_idx_cursor_t *c, const wb_tokens_t *f) { begin (c, f, WB_IDX_HEADER + 4 * f->sequences); }
void wb_idx_documents (wb_idx_cursor_t *c, const wb_tokens_t *f) { begin (c, f, WB_IDX_HEADER + 12 * f->sequences); }

static wb_status next (wb_idx_cursor_t *c, void *out, size_t n) {
    if (c->have - c->used < n) {
        const size_t rest = c->have - c->used;
        size_t more = sizeof c->buf - rest;
        memmove (c->buf, c->buf + c->used, rest);
        if ((int64_t) more > c->f->idx_bytes - c->at) more = (size_t) (c->f->idx_bytes - c->at);
        WB_TRY (read_bytes (c->f, c->buf + rest, more, c->at, "idx"));
        c->at += (int64_t) more;
        c->used = 0;
        c->have = rest + more;
        WB_ASSERT (n <= c->have);
    }
    memcpy (out, c->buf + c->used, n);
    c->used += n;
    return WB_OK;
}

wb_status wb_idx_i32 (wb_idx_cursor_t *c, int64_t *out) {
    int32_t x;
    WB_TRY (next (c, &x, sizeof x));
    *out = x;
    return WB_OK;
}

wb_status wb_idx_i64 (wb_idx_cursor_t *c, int64_t *out) { return next (c, out, sizeof *out); }

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static wb_status open_file (int *fd, int64_t *bytes, const char *path) {
    struct stat st;
    *fd = open (path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return WB_FAIL (WB_EIO, "%s: cannot open: %s%s", path, strerror (errno),
                        errno == ENOENT ? "; a token file is named without .bin or .idx, `wabun encode` makes it" : "");
    if (fstat (*fd, &st) != 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    if (!S_ISREG (st.st_mode)) return WB_FAIL (WB_EIO, "%s: not a regular file", path);
    *bytes = (int64_t) st.st_size;
    return WB_OK;
}

static wb_status check_header (wb_tokens_t *f, const char *path) {
    unsigned char head[WB_IDX_HEADER] = {0};
    const uint64_t bytes = (uint64_t) f->idx_bytes;
    WB_TRY (read_bytes (f, head, bytes < sizeof head ? (size_t) bytes : sizeof head, 0, "idx"));
    if (bytes < WB_IDX_MAGIC_BYTES || memcmp (head, WB_IDX_MAGIC, WB_IDX_MAGIC_BYTES) != 0)
        return WB_FAIL (WB_EDATA, "%s: byte 0: not an index of token files (it does not begin with MMIDIDX)", path);
    if (bytes < sizeof head)
        return WB_FAIL (WB_EDATA, "%s: truncated: %" PRIu64 " bytes, the header alone has %zu", path, bytes,
                        sizeof head);
    uint64_t version, S, D;
    memcpy (&version, head + WB_IDX_VERSION, sizeof version);
    memcpy (&S, head + WB_IDX_SEQUENCES, sizeof S);
    memcpy (&D, head + WB_IDX_DOCUMENTS, sizeof D);
    if (version != 1)
        return WB_FAIL (WB_EDATA, "%s: byte %d: version %" PRIu64 ", only 1 is known", path, WB_IDX_VERSION, version);
    f->dtype = head[WB_IDX_DTYPE];
    f->width = wb_idx_width (f->dtype);
    if (f->width == 0)
        return WB_FAIL (WB_EDATA, "%s: byte %d: ids of type %d; known are 1 u8, 2 i8, 3 i16, 4 i32, 5 i64, 8 u16", path,
                        WB_IDX_DTYPE, f->dtype);
    if (D < 1) return WB_FAIL (WB_EDATA, "%s: byte %d: a document index of no entries", path, WB_IDX_DOCUMENTS);
    const uint64_t room = bytes - sizeof head;
    if (S > room / 12 || D > room / 8 || 12 * S + 8 * D > room)
        return WB_FAIL (WB_EDATA,
                        "%s: truncated: %" PRIu64 " bytes, too few for the %" PRIu64 " sequences (byte %d) and %" PRIu64
                        " document entries (byte %d) that its header names",
                        path, bytes, S, WB_IDX_SEQUENCES, D, WB_IDX_DOCUMENTS);
    /* Megatron's multimodal files have one more byte a sequence. */
    const uint64_t more = room - (12 * S + 8 * D);
    if (more != 0 && more != S)
        return WB_FAIL (WB_EDATA,
                        "%s: %" PRIu64 " bytes, %" PRIu64 " more than its header (%" PRIu64 " sequences, %" PRIu64
                        " document entries) explains",
                        path, bytes, more, S, D);
    f->sequences = (int64_t) S;
    f->documents = (int64_t) D - 1;
    return WB_OK;
}

/* Sequences in order, inside the .bin, and those of a file without gaps are the whole of it. */
static wb_status check_sequences (wb_tokens_t *f, const char *idx, const char *bin, bool *gaps) {
    wb_idx_cursor_t lengths, pointers;
    int64_t end = 0, length, at;
    *gaps = false;
    wb_idx_lengths (&lengths, f);
    wb_idx_pointers (&pointers, f);
    for (int64_t s = 0; s < f->sequences; s++) {
        WB_TRY (wb_idx_i32 (&lengths, &length));
        WB_TRY (wb_idx_i64 (&pointers, &at));
        if (length < 0)
            return WB_FAIL (WB_EDATA, "%s: byte %" PRId64 ": sequence %" PRId64 " has length %" PRId64, idx,
                            WB_IDX_HEADER + 4 * s, s, length);
        if (at < end)
            return WB_FAIL (WB_EDATA,
                            "%s: byte %" PRId64 ": sequence %" PRId64 " begins at byte %" PRId64
                            " of the .bin, before the end of the one in front of it (%" PRId64 ")",
                            idx, WB_IDX_HEADER + 4 * f->sequences + 8 * s, s, at, end);
        /* end <= bin_bytes and length < 2^31 here: nothing overflows */
        if (at > f->bin_bytes || length * f->width > f->bin_bytes - at)
            return WB_FAIL (WB_EDATA,
                            "%s: %" PRId64 " bytes, but sequence %" PRId64 " is to end at byte %" PRId64 " + %" PRId64
                            "; the file is truncated or does not belong to %s",
                            bin, f->bin_bytes, s, at, length * f->width, idx);
        *gaps = *gaps || at != end;
        end = at + length * f->width;
        f->count += length;
    }
    if (!*gaps && end != f->bin_bytes)
        return WB_FAIL (WB_EDATA, "%s: %" PRId64 " bytes, but %s describes %" PRId64 "; do they belong together?", bin,
                        f->bin_bytes, idx, end);
    return WB_OK;
}

static wb_status check_documents (const wb_tokens_t *f, const char *idx) {
    wb_idx_cursor_t documents;
    int64_t before = 0, s;
    wb_idx_documents (&documents, f);
    for (int64_t d = 0; d <= f->documents; d++) {
        WB_TRY (wb_idx_i64 (&documents, &s));
        if (s < before || s > f->sequences || (d == 0 && s != 0) || (d == f->documents && s != f->sequences))
            return WB_FAIL (WB_EDATA,
                            "%s: byte %" PRId64 ": entry %" PRId64 " of the document index is %" PRId64 ", of %" PRId64
                            " sequences",
                            idx, WB_IDX_HEADER + 12 * f->sequences + 8 * d, d, s, f->sequences);
        before = s;
    }
    return WB_OK;
}

static wb_status make_tables (wb_tokens_t *f, const char *idx) {
    wb_idx_cursor_t lengths, pointers;
    int64_t length;
    f->starts = wb_malloc ((size_t) (f->sequences + 1) * sizeof *f->starts);
    f->pointers = wb_malloc ((size_t) (f->sequences + 1) * sizeof *f->pointers);
    if (f->starts == NULL || f->pointers == NULL) return WB_NOMEM ("%s", idx);
    wb_idx_lengths (&lengths, f);
    wb_idx_pointers (&pointers, f);
    f->starts[0] = 0;
    for (int64_t s = 0; s < f->sequences; s++) {
        WB_TRY (wb_idx_i32 (&lengths, &length));
        WB_TRY (wb_idx_i64 (&pointers, &f->pointers[s]));
        f->starts[s + 1] = f->starts[s] + length;
    }
    return WB_OK;
}

static wb_status open_both (wb_tokens_t *f, const char *idx, const char *bin) {
    bool gaps;
    WB_TRY (open_file (&f->idx, &f->idx_bytes, idx));
    WB_TRY (open_file (&f->bin, &f->bin_bytes, bin));
    WB_TRY (check_header (f, idx));
    WB_TRY (check_sequences (f, idx, bin, &gaps));
    WB_TRY (check_documents (f, idx));
    return gaps ? make_tables (f, idx) : WB_OK;
}

/* The mask, where there is one, is as long as the stream. */
static wb_status open_mask (wb_tokens_t *f, const char *mask) {
    int64_t bytes;
    if (!wb_file_exists (mask)) return WB_OK;
    WB_TRY (open_file (&f->mask, &bytes, mask));
    if (bytes == f->count) return WB_OK;
    return WB_FAIL (WB_EDATA,
                    "%s: %" PRId64 " bytes, but %s has %" PRId64 " ids: it is the mask of other ids; encode again, or "
                    "remove it",
                    mask, bytes, f->prefix, f->count);
}

wb_status wb_tokens_open (wb_tokens_t **out, const char *prefix) {
    *out = NULL;
    wb_tokens_t *f = wb_calloc (1, sizeof *f);
    if (f == NULL) return WB_NOMEM ("%s", prefix);
    f->idx = f->bin = f->mask = -1;
    f->prefix = wb_strdup (prefix);
    char *idx = wb_format ("%s.idx", prefix), *bin = wb_format ("%s.bin", prefix),
         *mask = wb_format ("%s." WB_TOKENS_MASK, prefix);
    const bool all = idx != NULL && bin != NULL && mask != NULL && f->prefix != NULL;
    wb_status status = all ? open_both (f, idx, bin) : WB_NOMEM ("%s", prefix);
    if (status == WB_OK) status = open_mask (f, mask);
    wb_free (idx);
    wb_free (bin);
    wb_free (mask);
    if (status == WB_OK)
        *out = f;
    else
        wb_tokens_close (f);
    return status;
}

void wb_tokens_close (wb_tokens_t *f) {
    if (f == NULL) return;
    if (f->idx >= 0) close (f->idx);
    if (f->bin >= 0) close (f->bin);
    if (f->mask >= 0) close (f->mask);
    wb_free (f->starts);
    wb_free (f->pointers);
    wb_free (f->prefix);
    wb_free (f);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

int64_t wb_tokens_count (const wb_tokens_t *f) { return f->count; }
int64_t wb_tokens_documents (const wb_tokens_t *f) { return f->documents; }
const char *wb_tokens_path (const wb_tokens_t *f) { return f->prefix; }

/* Position in the stream where sequence s begins; s = sequences gives the end. */
static wb_status start_of (const wb_tokens_t *f, int64_t *out, int64_t s) {
    *out = f->starts != NULL ? f->starts[s] : f->count;
    if (f->starts != NULL || s == f->sequences) return WB_OK;
    WB_TRY (read_bytes (f, out, sizeof *out, WB_IDX_HEADER + 4 * f->sequences + 8 * s, "idx"));
    *out /= f->width;
    return WB_OK;
}

wb_status wb_tokens_document (const wb_tokens_t *f, int64_t *first, int64_t *n, int64_t document) {
    int64_t s[2], end;
    WB_ASSERT (document >= 0 && document < f->documents);
    WB_TRY (read_bytes (f, s, sizeof s, WB_IDX_HEADER + 12 * f->sequences + 8 * document, "idx"));
    for (int i = 0; i < 2; i++) /* a file that was overwritten since it was checked */
        if (s[i] < 0 || s[i] > f->sequences)
            return WB_FAIL (WB_EDATA, "%s.idx: it was changed while it was in use", f->prefix);
    WB_TRY (start_of (f, first, s[0]));
    WB_TRY (start_of (f, &end, s[1]));
    *n = end - *first;
    if (*first < 0 || *n < 0 || end > f->count)
        return WB_FAIL (WB_EDATA, "%s.idx: it was changed while it was in use", f->prefix);
    return WB_OK;
}

wb_status wb_tokens_find (const wb_tokens_t *f, int64_t *document, int64_t *offset, int64_t position) {
    int64_t low = 0, high = f->documents, first = 0, n; /* document low begins at or before it, document high after */
    WB_ASSERT (position >= 0 && position < f->count);
    while (high - low > 1) {
        const int64_t mid = low + (high - low) / 2;
        WB_TRY (wb_tokens_document (f, &first, &n, mid));
        if (first <= position)
            low = mid;
        else
            high = mid;
    }
    WB_TRY (wb_tokens_document (f, &first, &n, low));
    *document = low;
    *offset = position - first;
    return WB_OK;
}

/* The last sequence that begins at or before a position in the stream, which is inside it. */
static int64_t sequence_of (const wb_tokens_t *f, int64_t position) {
    int64_t low = 0, high = f->sequences; /* starts[low] <= position < starts[high] */
    while (high - low > 1) {
        int64_t mid = low + (high - low) / 2;
        if (f->starts[mid] <= position)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* The byte of the .bin where id `first` lies, and how many of the n ids lie there in one piece. */
static int64_t piece_at (const wb_tokens_t *f, int64_t first, int64_t n, int64_t *whole) {
    *whole = n;
    if (f->starts == NULL) return first * f->width;
    int64_t s = sequence_of (f, first);
    if (f->starts[s + 1] - first < n) *whole = f->starts[s + 1] - first;
    return f->pointers[s] + (first - f->starts[s]) * f->width;
}

#define CONVERT(type, expr)                                          \
    for (int64_t i = 0; i < n; i++) {                                \
        type x;                                                      \
        memcpy (&x, p + i * (int64_t) sizeof (type), sizeof (type)); \
        out[i] = expr;                                               \
    }                                                                \
    break
static void convert (int32_t *out, const unsigned char *p, int64_t n, int dtype) {
    switch (dtype) {
    case WB_IDX_U8: CONVERT (uint8_t, x);
    case WB_IDX_I8: CONVERT (int8_t, x);
    case WB_IDX_I16: CONVERT (int16_t, x);
    case WB_IDX_U16: CONVERT (uint16_t, x);
    case WB_IDX_I32: CONVERT (int32_t, x);
    default: CONVERT (int64_t, x >= INT32_MIN && x <= INT32_MAX ? (int32_t) x : -1); /* no id of any vocabulary */
    }
}

wb_status wb_tokens_read (const wb_tokens_t *f, int32_t *out, int64_t first, int64_t n) {
    unsigned char raw[READ_BYTES];
    const int64_t most = READ_BYTES / f->width;
    WB_ASSERT (first >= 0 && n >= 0 && n <= f->count && first <= f->count - n);
    for (int64_t whole; n > 0; n -= whole, first += whole, out += whole) {
        const int64_t at = piece_at (f, first, n < most ? n : most, &whole);
        WB_TRY (read_bytes (f, raw, (size_t) (whole * f->width), at, "bin"));
        convert (out, raw, whole, f->dtype);
    }
    return WB_OK;
}

wb_status wb_tokens_read_masked (const wb_tokens_t *f, int32_t *out, int64_t first, int64_t n) {
    unsigned char counts[READ_BYTES];
    WB_TRY (wb_tokens_read (f, out, first, n));
    for (int64_t k; n > 0 && f->mask >= 0; n -= k, first += k, out += k) {
        k = n < READ_BYTES ? n : READ_BYTES;
        WB_TRY (read_bytes (f, counts, (size_t) k, first, WB_TOKENS_MASK));
        for (int64_t i = 0; i < k; i++)
            if (counts[i] == 0) out[i] = ~out[i];
    }
    return WB_OK;
}

wb_status wb_tokens_counted (const wb_tokens_t *f, int64_t *n) {
    unsigned char counts[READ_BYTES];
    *n = f->mask < 0 ? f->count : 0;
    for (int64_t first = 0, k; first < f->count && f->mask >= 0; first += k) {
        k = f->count - first < READ_BYTES ? f->count - first : READ_BYTES;
        WB_TRY (read_bytes (f, counts, (size_t) k, first, WB_TOKENS_MASK));
        for (int64_t i = 0; i < k; i++) *n += counts[i] != 0;
    }
    return WB_OK;
}

void wb_tokens_prefetch (const wb_tokens_t *f, int64_t first, int64_t n) {
    for (int64_t whole; n > 0; n -= whole, first += whole) {
        const int64_t at = piece_at (f, first, n, &whole);
        (void) posix_fadvise (f->bin, (off_t) at, (off_t) (whole * f->width), POSIX_FADV_WILLNEED);
    }
}

void wb_tokens_advise (const wb_tokens_t *f, bool random) {
    (void) posix_fadvise (f->bin, 0, 0, random ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
}

/* ---- checking --------------------------------------------------------------------------------------------------- */

static bool all_below (const unsigned char *raw, int64_t n, int32_t vocab) {
    uint16_t largest = 0, x;
    for (int64_t i = 0; i < n; i++) {
        memcpy (&x, raw + 2 * i, sizeof x);
        if (x > largest) largest = x;
    }
    return n == 0 || largest < vocab;
}

/* n ids as they lie in the file, the first of them at position `first`. */
static wb_status check_raw (const wb_tokens_t *f, const unsigned char *raw, int32_t vocab, int64_t first, int64_t n) {
    int32_t ids[4096];
    if (f->dtype == WB_IDX_U16 && all_below (raw, n, vocab)) return WB_OK;
    for (int64_t k; n > 0; n -= k, first += k, raw += k * f->width) {
        k = n < 4096 ? n : 4096;
        convert (ids, raw, k, f->dtype);
        for (int64_t i = 0; i < k; i++)
            if (ids[i] < 0 || ids[i] >= vocab)
                return WB_FAIL (WB_EDATA,
                                "%s.bin: id %d at position %" PRId64 ", but the vocabulary has 0 .. %d; it was encoded "
                                "with another tokenizer",
                                f->prefix, (int) ids[i], first + i, (int) vocab - 1);
    }
    return WB_OK;
}

wb_status wb_tokens_check (const wb_tokens_t *f, int32_t vocab, int part, int parts) {
    WB_ASSERT (parts > 0 && part >= 0 && part < parts);
    const int64_t each = f->count / parts, rest = f->count % parts;
    const int64_t first = each * part + (part < rest ? part : rest), end = first + each + (part < rest);
    unsigned char *raw = wb_malloc ((size_t) (CHECK_IDS * f->width));
    wb_status status = raw != NULL ? WB_OK : WB_NOMEM ("%s", f->prefix);
    wb_tokens_advise (f, false);
    for (int64_t at = first, n; at < end && status == WB_OK; at += n) {
        const int64_t byte = piece_at (f, at, end - at < CHECK_IDS ? end - at : CHECK_IDS, &n);
        status = read_bytes (f, raw, (size_t) (n * f->width), byte, "bin");
        if (status == WB_OK) status = check_raw (f, raw, vocab, at, n);
        wb_beat ();
    }
    wb_free (raw);
    return status;
}
