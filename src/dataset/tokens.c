/* Token files: Megatron's indexed dataset, PREFIX.bin (ids) and PREFIX.idx (where each sequence lies).
 *
 * Reading maps both and checks on opening everything that later reads rely on, so that no value in a file, however
 * wrong, leads out of it.  Numbers are fetched by memcpy: the header has 34 bytes, and nothing behind it is aligned.
 * Where the sequences lie one after the other, which is what every writer does, a position in the stream is a position
 * in the .bin; otherwise a table of starts is made.
 *
 * Writing goes to temporary names; _end() syncs and renames, .bin first, so that an .idx never stands without its .bin.
 *
 * Not done here: compression, a file that is cut short after it was mapped (SIGBUS). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataset/dataset_priv.h"

#define MAGIC "MMIDIDX\0"
#define MAGIC_BYTES ((size_t) 9) /* with both zeros */
#define AT_VERSION 9
#define AT_DTYPE 17
#define AT_SEQUENCES 18
#define AT_DOCUMENTS 26
#define HEADER_BYTES ((size_t) 34)
#define PIECE ((size_t) 1 << 18)  /* bytes of the writer's buffer */
#define BLOCK ((int64_t) 1 << 20) /* ids that are checked, and then forgotten, at a time */

enum { U8 = 1, I8 = 2, I16 = 3, I32 = 4, I64 = 5, U16 = 8 };

static int width_of (int dtype) {
    switch (dtype) {
    case U8:
    case I8: return 1;
    case I16:
    case U16: return 2;
    case I32: return 4;
    case I64: return 8;
    default: return 0;
    }
}

struct wb_tokens {
    char *prefix;
    unsigned char *idx, *bin;
    size_t idx_bytes, bin_bytes;
    int dtype, width;
    int64_t sequences, documents, count;
    int64_t *starts; /* [sequences + 1] in the stream; NULL: the .bin is the stream */
};

static int32_t get_i32 (const unsigned char *p) {
    int32_t x;
    memcpy (&x, p, sizeof x);
    return x;
}

static int64_t get_i64 (const unsigned char *p) {
    int64_t x;
    memcpy (&x, p, sizeof x);
    return x;
}

static int32_t length_at (const wb_tokens_t *f, int64_t s) { return get_i32 (f->idx + HEADER_BYTES + 4 * s); }
static int64_t pointer_at (const wb_tokens_t *f, int64_t s) {
    return get_i64 (f->idx + HEADER_BYTES + 4 * f->sequences + 8 * s);
}
static int64_t document_at (const wb_tokens_t *f, int64_t d) {
    return get_i64 (f->idx + HEADER_BYTES + 12 * f->sequences + 8 * d);
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static wb_status map_file (unsigned char **out, size_t *bytes, const char *path) {
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return WB_FAIL (WB_EIO, "%s: cannot open: %s%s", path, strerror (errno),
                        errno == ENOENT ? "; a token file is named without .bin or .idx, `wabun encode` makes it" : "");
    struct stat st;
    wb_status status = WB_OK;
    if (fstat (fd, &st) != 0)
        status = WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    else if (!S_ISREG (st.st_mode))
        status = WB_FAIL (WB_EIO, "%s: not a regular file", path);
    else if (st.st_size > 0) {
        void *p = mmap (NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            status = WB_FAIL (WB_EIO, "%s: cannot map: %s", path, strerror (errno));
        else {
            *out = p;
            *bytes = (size_t) st.st_size;
        }
    }
    close (fd);
    return status;
}

static wb_status check_header (wb_tokens_t *f, const char *path) {
    if (f->idx_bytes < MAGIC_BYTES || memcmp (f->idx, MAGIC, MAGIC_BYTES) != 0)
        return WB_FAIL (WB_EDATA, "%s: byte 0: not an index of token files (it does not begin with MMIDIDX)", path);
    if (f->idx_bytes < HEADER_BYTES)
        return WB_FAIL (WB_EDATA, "%s: truncated: %zu bytes, the header alone has %zu", path, f->idx_bytes,
                        HEADER_BYTES);
    uint64_t version = (uint64_t) get_i64 (f->idx + AT_VERSION), S = (uint64_t) get_i64 (f->idx + AT_SEQUENCES),
             D = (uint64_t) get_i64 (f->idx + AT_DOCUMENTS);
    if (version != 1)
        return WB_FAIL (WB_EDATA, "%s: byte %d: version %" PRIu64 ", only 1 is known", path, AT_VERSION, version);
    f->dtype = f->idx[AT_DTYPE];
    f->width = width_of (f->dtype);
    if (f->width == 0)
        return WB_FAIL (WB_EDATA, "%s: byte %d: ids of type %d; known are 1 u8, 2 i8, 3 i16, 4 i32, 5 i64, 8 u16", path,
                        AT_DTYPE, f->dtype);
    if (D < 1) return WB_FAIL (WB_EDATA, "%s: byte %d: a document index of no entries", path, AT_DOCUMENTS);
    size_t room = f->idx_bytes - HEADER_BYTES;
    if (S > room / 12 || D > room / 8 || 12 * S + 8 * D > room)
        return WB_FAIL (WB_EDATA,
                        "%s: truncated: %zu bytes, too few for the %" PRIu64 " sequences (byte %d) and %" PRIu64
                        " document entries (byte %d) it speaks of",
                        path, f->idx_bytes, S, AT_SEQUENCES, D, AT_DOCUMENTS);
    /* Megatron's multimodal files have one more byte a sequence. */
    size_t more = room - (size_t) (12 * S + 8 * D);
    if (more != 0 && more != S)
        return WB_FAIL (WB_EDATA,
                        "%s: %zu bytes, %zu more than its header (%" PRIu64 " sequences, %" PRIu64
                        " document entries) explains",
                        path, f->idx_bytes, more, S, D);
    f->sequences = (int64_t) S;
    f->documents = (int64_t) D - 1;
    return WB_OK;
}

static wb_status check_sequences (wb_tokens_t *f, const char *idx, const char *bin) {
    int64_t end = 0;
    bool gaps = false;
    const long long lengths = (long long) HEADER_BYTES, pointers = lengths + 4 * (long long) f->sequences;
    for (int64_t s = 0; s < f->sequences; s++) {
        int64_t length = length_at (f, s), at = pointer_at (f, s);
        if (length < 0)
            return WB_FAIL (WB_EDATA, "%s: byte %lld: sequence %lld has length %lld", idx, lengths + 4 * (long long) s,
                            (long long) s, (long long) length);
        if (at < end)
            return WB_FAIL (WB_EDATA,
                            "%s: byte %lld: sequence %lld begins at byte %lld of the .bin, before the end of the "
                            "one in front of it (%lld)",
                            idx, pointers + 8 * (long long) s, (long long) s, (long long) at, (long long) end);
        /* end <= bin_bytes and length < 2^31 here: nothing overflows */
        if (at > (int64_t) f->bin_bytes || length * f->width > (int64_t) f->bin_bytes - at)
            return WB_FAIL (WB_EDATA,
                            "%s: %zu bytes, but sequence %lld is to end at byte %lld + %lld; the file is truncated "
                            "or does not belong to %s",
                            bin, f->bin_bytes, (long long) s, (long long) at, (long long) (length * f->width), idx);
        gaps = gaps || at != end;
        end = at + length * f->width;
        f->count += length;
    }
    if (!gaps && end != (int64_t) f->bin_bytes)
        return WB_FAIL (WB_EDATA, "%s: %zu bytes, but %s knows of %lld; do they belong together?", bin, f->bin_bytes,
                        idx, (long long) end);
    int64_t before = 0;
    for (int64_t d = 0; d <= f->documents; d++) {
        int64_t s = document_at (f, d);
        if (s < before || s > f->sequences || (d == 0 && s != 0) || (d == f->documents && s != f->sequences))
            return WB_FAIL (WB_EDATA, "%s: byte %lld: entry %lld of the document index is %lld, of %lld sequences", idx,
                            pointers + 8 * (long long) f->sequences + 8 * (long long) d, (long long) d, (long long) s,
                            (long long) f->sequences);
        before = s;
    }
    if (!gaps) return WB_OK;
    f->starts = wb_malloc ((size_t) (f->sequences + 1) * sizeof *f->starts);
    if (f->starts == NULL) return WB_NOMEM ("%s", idx);
    f->starts[0] = 0;
    for (int64_t s = 0; s < f->sequences; s++) f->starts[s + 1] = f->starts[s] + length_at (f, s);
    return WB_OK;
}

wb_status wb_tokens_open (wb_tokens_t **out, const char *prefix) {
    *out = NULL;
    wb_tokens_t *f = wb_calloc (1, sizeof *f);
    char *idx = wb_format ("%s.idx", prefix), *bin = wb_format ("%s.bin", prefix);
    wb_status status = WB_OK;
    if (f == NULL || idx == NULL || bin == NULL || (f->prefix = wb_strdup (prefix)) == NULL)
        status = WB_NOMEM ("%s", prefix);
    if (status == WB_OK) status = map_file (&f->idx, &f->idx_bytes, idx);
    if (status == WB_OK) status = map_file (&f->bin, &f->bin_bytes, bin);
    if (status == WB_OK) status = check_header (f, idx);
    if (status == WB_OK) status = check_sequences (f, idx, bin);
    wb_free (idx);
    wb_free (bin);
    if (status != WB_OK) {
        wb_tokens_close (f);
        return status;
    }
    *out = f;
    return WB_OK;
}

void wb_tokens_close (wb_tokens_t *f) {
    if (f == NULL) return;
    if (f->idx != NULL) munmap (f->idx, f->idx_bytes);
    if (f->bin != NULL) munmap (f->bin, f->bin_bytes);
    wb_free (f->starts);
    wb_free (f->prefix);
    wb_free (f);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

int64_t wb_tokens_count (const wb_tokens_t *f) { return f->count; }
int64_t wb_tokens_documents (const wb_tokens_t *f) { return f->documents; }
const char *wb_tokens_path (const wb_tokens_t *f) { return f->prefix; }

/* Place in the stream where sequence s begins; s = sequences gives the end. */
static int64_t start_of (const wb_tokens_t *f, int64_t s) {
    if (f->starts != NULL) return f->starts[s];
    return s < f->sequences ? pointer_at (f, s) / f->width : f->count;
}

void wb_tokens_document (const wb_tokens_t *f, int64_t *first, int64_t *n, int64_t document) {
    WB_ASSERT (document >= 0 && document < f->documents);
    *first = start_of (f, document_at (f, document));
    *n = start_of (f, document_at (f, document + 1)) - *first;
}

/* The last sequence that begins at or before a place in the stream, which is inside it. */
static int64_t sequence_of (const wb_tokens_t *f, int64_t place) {
    int64_t low = 0, high = f->sequences; /* starts[low] <= place < starts[high] */
    while (high - low > 1) {
        int64_t mid = low + (high - low) / 2;
        if (f->starts[mid] <= place)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* Where ids from `first` on lie in the .bin, and how many of the n lie there in one piece. */
static const unsigned char *piece_at (const wb_tokens_t *f, int64_t first, int64_t n, int64_t *whole) {
    *whole = n;
    if (f->starts == NULL) return f->bin + first * f->width;
    int64_t s = sequence_of (f, first);
    if (f->starts[s + 1] - first < n) *whole = f->starts[s + 1] - first;
    return f->bin + pointer_at (f, s) + (first - f->starts[s]) * f->width;
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
    case U8: CONVERT (uint8_t, x);
    case I8: CONVERT (int8_t, x);
    case I16: CONVERT (int16_t, x);
    case U16: CONVERT (uint16_t, x);
    case I32: CONVERT (int32_t, x);
    default: CONVERT (int64_t, x >= INT32_MIN && x <= INT32_MAX ? (int32_t) x : -1); /* no id of any vocabulary */
    }
}

void wb_tokens_read (const wb_tokens_t *f, int32_t *out, int64_t first, int64_t n) {
    WB_ASSERT (first >= 0 && n >= 0 && n <= f->count && first <= f->count - n);
    for (int64_t whole; n > 0; n -= whole, first += whole, out += whole) {
        const unsigned char *p = piece_at (f, first, n, &whole);
        convert (out, p, whole, f->dtype);
    }
}

/* Tell the system what is to become of ids first .. first + n - 1. */
static void advise (const wb_tokens_t *f, int64_t first, int64_t n, int advice) {
    const size_t page = (size_t) sysconf (_SC_PAGESIZE);
    for (int64_t whole; n > 0; n -= whole, first += whole) {
        const size_t at = (size_t) (piece_at (f, first, n, &whole) - f->bin), from = at - at % page;
        (void) madvise (f->bin + from, at - from + (size_t) (whole * f->width), advice);
    }
}

void wb_tokens_prefetch (const wb_tokens_t *f, int64_t first, int64_t n) { advise (f, first, n, MADV_WILLNEED); }

void wb_tokens_advise (const wb_tokens_t *f, bool random) {
    if (f->bin != NULL) (void) madvise (f->bin, f->bin_bytes, random ? MADV_RANDOM : MADV_SEQUENTIAL);
}

static wb_status check_block (const wb_tokens_t *f, int32_t vocab, int64_t first, int64_t n) {
    int32_t buf[4096];
    for (int64_t k; n > 0; first += k, n -= k) {
        k = n < 4096 ? n : 4096;
        wb_tokens_read (f, buf, first, k);
        uint32_t bad = 0; /* a negative id is a large one */
        for (int64_t i = 0; i < k; i++) bad |= (uint32_t) buf[i] >= (uint32_t) vocab ? 1u : 0u;
        for (int64_t i = 0; bad != 0 && i < k; i++)
            if (buf[i] < 0 || buf[i] >= vocab)
                return WB_FAIL (WB_EDATA,
                                "%s.bin: id %d at position %lld, but the vocabulary has 0 .. %d; it was encoded with "
                                "another tokenizer",
                                f->prefix, (int) buf[i], (long long) (first + i), (int) vocab - 1);
    }
    return WB_OK;
}

wb_status wb_tokens_check (const wb_tokens_t *f, int32_t vocab, int part, int parts) {
    WB_ASSERT (parts > 0 && part >= 0 && part < parts);
    const int64_t each = f->count / parts, rest = f->count % parts;
    const int64_t first = each * part + (part < rest ? part : rest), end = first + each + (part < rest);
    wb_tokens_advise (f, false);
    for (int64_t at = first, k; at < end; at += k) {
        k = end - at < BLOCK ? end - at : BLOCK;
        WB_TRY (check_block (f, vocab, at, k));
        advise (f, at, k, MADV_DONTNEED); /* from this process's memory; the file stays in the system's */
    }
    return WB_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

struct wb_tokens_writer {
    char *bin, *idx;           /* final names */
    char *bin_temp, *idx_temp; /* NULL: not there */
    int fd;                    /* of the .bin */
    int32_t vocab;
    int dtype, width;
    int64_t tokens;
    int64_t open;     /* ids of the document that has not ended */
    wb_ids_t lengths; /* of sequences */
    wb_ids_t pieces;  /* sequences of each document; empty while all have one */
    int64_t documents;
    size_t n; /* bytes waiting in buf */
    unsigned char *buf;
};

static wb_status write_all (int fd, const void *data, size_t n, const char *path) {
    for (const unsigned char *p = data; n > 0;) {
        ssize_t k = write (fd, p, n < (size_t) 1 << 30 ? n : (size_t) 1 << 30);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (k < 0 ? errno : ENOSPC));
        p += k;
        n -= (size_t) k;
    }
    return WB_OK;
}

static wb_status new_temp (int *fd, char **temp, const char *path) {
    for (unsigned k = 0; k < 10000; k++) {
        char *name = wb_format ("%s.tmp-%ld-%u", path, (long) getpid (), k);
        if (name == NULL) return WB_NOMEM ("%s", path);
        *fd = open (name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*fd >= 0) {
            *temp = name;
            return WB_OK;
        }
        wb_free (name);
        if (errno != EEXIST) break;
    }
    return WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (errno));
}

wb_status wb_tokens_writer_new (wb_tokens_writer_t **out, const char *prefix, int32_t vocab) {
    *out = NULL;
    wb_tokens_writer_t *w = wb_calloc (1, sizeof *w);
    if (w == NULL) return WB_NOMEM ("%s", prefix);
    w->fd = -1;
    w->vocab = vocab;
    w->dtype = vocab <= 65500 ? U16 : I32;
    w->width = width_of (w->dtype);
    w->bin = wb_format ("%s.bin", prefix);
    w->idx = wb_format ("%s.idx", prefix);
    w->buf = wb_malloc (PIECE);
    wb_status status = WB_OK;
    if (w->bin == NULL || w->idx == NULL || w->buf == NULL) status = WB_NOMEM ("%s", prefix);
    if (status == WB_OK) status = new_temp (&w->fd, &w->bin_temp, w->bin);
    if (status != WB_OK) {
        wb_tokens_writer_cancel (w);
        return status;
    }
    *out = w;
    return WB_OK;
}

static wb_status flush (wb_tokens_writer_t *w) {
    size_t n = w->n;
    w->n = 0;
    return write_all (w->fd, w->buf, n, w->bin);
}

static wb_status put_ids (wb_tokens_writer_t *w, const int32_t *ids, int64_t n) {
    w->tokens += n;
    for (int64_t k; n > 0; n -= k, ids += k) {
        if (w->n == PIECE) WB_TRY (flush (w));
        const int64_t room = (int64_t) (PIECE - w->n) / w->width;
        unsigned bad = 0;
        k = n < room ? n : room;
        for (int64_t i = 0; i < k; i++) bad |= (unsigned) ((uint32_t) ids[i] >= (uint32_t) w->vocab);
        for (int64_t i = 0; bad != 0 && i < k; i++)
            if (ids[i] < 0 || ids[i] >= w->vocab)
                return WB_FAIL (WB_EDATA, "%s: id %d is to be written, but the vocabulary has 0 .. %d", w->bin,
                                (int) ids[i], (int) w->vocab - 1);
        if (w->dtype == U16) {
            uint16_t *to = (uint16_t *) (void *) (w->buf + w->n);
            for (int64_t i = 0; i < k; i++) to[i] = (uint16_t) ids[i];
        } else
            memcpy (w->buf + w->n, ids, (size_t) k * sizeof *ids);
        w->n += (size_t) (k * w->width);
    }
    return WB_OK;
}

/* A document has ended that has this many sequences. */
static wb_status end_document (wb_tokens_writer_t *w, int64_t sequences) {
    if (sequences != 1 && w->pieces.len == 0)
        for (int64_t d = 0; d < w->documents; d++) WB_TRY (wb_ids_put (&w->pieces, 1));
    if (sequences != 1 || w->pieces.len > 0) WB_TRY (wb_ids_put (&w->pieces, (int32_t) sequences));
    w->documents++;
    return WB_OK;
}

wb_status wb_tokens_writer_part (wb_tokens_writer_t *w, const int32_t *ids, int64_t n) {
    w->open += n;
    return put_ids (w, ids, n);
}

wb_status wb_tokens_writer_put (wb_tokens_writer_t *w, const int32_t *ids, int64_t n) {
    int64_t sequences = 0; /* a length has 31 bits: a longer document has several sequences */
    WB_TRY (wb_tokens_writer_part (w, ids, n));
    do {
        const int64_t k = w->open < INT32_MAX ? w->open : INT32_MAX;
        WB_TRY (wb_ids_put (&w->lengths, (int32_t) k));
        w->open -= k;
        sequences++;
    } while (w->open > 0);
    return end_document (w, sequences);
}

wb_status wb_tokens_writer_join (wb_tokens_writer_t *w, const char *prefix) {
    wb_tokens_t *f;
    WB_TRY (wb_tokens_open (&f, prefix));
    int32_t buf[4096];
    wb_status status = WB_OK;
    for (int64_t first = 0; status == WB_OK && first < f->count;) {
        int64_t k = f->count - first < 4096 ? f->count - first : 4096;
        wb_tokens_read (f, buf, first, k);
        status = put_ids (w, buf, k);
        first += k;
    }
    for (int64_t s = 0; status == WB_OK && s < f->sequences; s++) status = wb_ids_put (&w->lengths, length_at (f, s));
    for (int64_t d = 0; status == WB_OK && d < f->documents; d++) {
        int64_t k = document_at (f, d + 1) - document_at (f, d);
        status = k <= INT32_MAX ? end_document (w, k)
                                : WB_FAIL (WB_EDATA, "%s.idx: document %lld has %lld sequences", prefix, (long long) d,
                                           (long long) k);
    }
    wb_tokens_close (f);
    return status;
}

static wb_status put_index (wb_tokens_writer_t *w, int fd) {
    unsigned char head[HEADER_BYTES];
    const uint64_t version = 1, sequences = (uint64_t) w->lengths.len, documents = (uint64_t) w->documents + 1;
    memcpy (head, MAGIC, MAGIC_BYTES);
    memcpy (head + AT_VERSION, &version, 8);
    head[AT_DTYPE] = (unsigned char) w->dtype;
    memcpy (head + AT_SEQUENCES, &sequences, 8);
    memcpy (head + AT_DOCUMENTS, &documents, 8);
    WB_TRY (write_all (fd, head, sizeof head, w->idx));
    WB_TRY (write_all (fd, w->lengths.data, (size_t) w->lengths.len * 4, w->idx));
    int64_t *p = (int64_t *) (void *) w->buf, at = 0; /* the .bin is written: its buffer is free */
    const int64_t room = (int64_t) (PIECE / sizeof *p);
    int64_t n = 0;
    for (int64_t s = 0; s < w->lengths.len; s++) {
        p[n++] = at;
        at += (int64_t) w->lengths.data[s] * w->width;
        if (n == room) {
            WB_TRY (write_all (fd, p, PIECE, w->idx));
            n = 0;
        }
    }
    at = 0;
    for (int64_t d = 0; d <= w->documents; d++) {
        if (n == room) {
            WB_TRY (write_all (fd, p, PIECE, w->idx));
            n = 0;
        }
        p[n++] = at;
        if (d < w->documents) at += w->pieces.len > 0 ? w->pieces.data[d] : 1;
    }
    return write_all (fd, p, (size_t) n * sizeof *p, w->idx);
}

static wb_status sync_close (int fd, const char *path) {
    int error = fsync (fd) != 0 && errno != EINVAL && errno != ENOTSUP ? errno : 0;
    if (close (fd) != 0 && error == 0) error = errno;
    return error == 0 ? WB_OK : WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (error));
}

static wb_status into_place (char **temp, const char *path) {
    if (rename (*temp, path) != 0) return WB_FAIL (WB_EIO, "%s: cannot write: %s", path, strerror (errno));
    wb_free (*temp);
    *temp = NULL;
    return WB_OK;
}

static wb_status finish (wb_tokens_writer_t *w) {
    WB_TRY (flush (w));
    int fd = w->fd;
    w->fd = -1;
    WB_TRY (sync_close (fd, w->bin));
    WB_TRY (new_temp (&fd, &w->idx_temp, w->idx));
    wb_status status = put_index (w, fd);
    wb_status closed = sync_close (fd, w->idx);
    WB_TRY (status);
    WB_TRY (closed);
    /* An old .idx must not meet the new .bin. */
    if (unlink (w->idx) != 0 && errno != ENOENT)
        return WB_FAIL (WB_EIO, "%s: cannot replace: %s", w->idx, strerror (errno));
    WB_TRY (into_place (&w->bin_temp, w->bin));
    WB_TRY (into_place (&w->idx_temp, w->idx));
    char *slash = strrchr (w->idx, '/');
    if (slash == w->idx) return wb_dir_sync ("/");
    if (slash != NULL) *slash = 0;
    status = wb_dir_sync (slash != NULL ? w->idx : ".");
    if (slash != NULL) *slash = '/';
    return status;
}

wb_status wb_tokens_writer_end (wb_tokens_writer_t *w, int64_t *documents, int64_t *tokens) {
    wb_status status = finish (w);
    if (documents != NULL) *documents = w->documents;
    if (tokens != NULL) *tokens = w->tokens;
    wb_tokens_writer_cancel (w); /* what is in place has no temporary name any more */
    return status;
}

void wb_tokens_writer_cancel (wb_tokens_writer_t *w) {
    if (w == NULL) return;
    if (w->fd >= 0) close (w->fd);
    if (w->bin_temp != NULL) unlink (w->bin_temp);
    if (w->idx_temp != NULL) unlink (w->idx_temp);
    wb_free (w->bin_temp);
    wb_free (w->idx_temp);
    wb_free (w->bin);
    wb_free (w->idx);
    wb_free (w->buf);
    wb_ids_fini (&w->lengths);
    wb_ids_fini (&w->pieces);
    wb_free (w);
}
