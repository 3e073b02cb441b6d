/* Archives, by libarchive: tar, zip and 7z.  Each regular file in them is a layer of its own, whatever its name.
 *
 * zip and 7z have their directory at the end: a file is read from there; what is not a file on disk is taken into
 * memory for that, as far as a record may be long.
 *
 * Not done here: passwords, links, devices, more than one file at a time. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "corpus/archive.h"
#include "corpus/charset.h"
#include "corpus/containers.h"
#include "tokenizer/utf8.h"

/* ---- what libarchive reads -------------------------------------------------------------------------------------- */

static la_ssize_t in_read (struct archive *a, void *ctx, const void **bytes) {
    wb_archive_in_t *in = ctx;
    if (in->given > 0) wb_reader_take (in->r, in->given);
    in->given = 0;
    in->status = wb_reader_peek (in->r, 1);
    if (in->status != WB_OK) {
        archive_set_error (a, EIO, "cannot read");
        return -1;
    }
    in->given = wb_reader_have (in->r);
    *bytes = wb_reader_bytes (in->r);
    return (la_ssize_t) in->given;
}

static la_int64_t in_seek (struct archive *a, void *ctx, la_int64_t offset, int whence) {
    wb_archive_in_t *in = ctx;
    wb_reader_t *r = in->r;
    (void) a;
    const int64_t to = whence == SEEK_SET   ? offset
                       : whence == SEEK_END ? r->c->size + offset
                                            : wb_reader_place (r) + (int64_t) in->given + offset;
    in->given = 0;
    return wb_reader_seek (r, to) ? to : ARCHIVE_FATAL;
}

int wb_archive_begin (struct archive *a, wb_archive_in_t *in, wb_reader_t *r) {
    *in = (wb_archive_in_t){.r = r};
    archive_read_set_callback_data (a, in);
    archive_read_set_read_callback (a, in_read);
    if (r->seeks) archive_read_set_seek_callback (a, in_seek);
    return archive_read_open1 (a);
}

/* ---- the container ---------------------------------------------------------------------------------------------- */

typedef struct entries {
    struct archive *a;
    wb_archive_in_t in;
    int64_t out; /* bytes of all entries so far */
    int failures;
    bool end;
} entries_t;

static bool is_tar (const char *s, size_t n) {
    if (n < 512) return false;
    int64_t sum = 0, want = 0;
    for (int i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? ' ' : (unsigned char) s[i];
    for (int i = 148; i < 156; i++)
        if (s[i] >= '0' && s[i] <= '7') want = want * 8 + (s[i] - '0');
    return sum == want && s[0] != 0;
}

static bool is_7z (const char *s, size_t n) { return n >= 6 && memcmp (s, "7z\xbc\xaf\x27\x1c", 6) == 0; }

static bool is_zip (const char *s, size_t n) {
    return n >= 4 && (memcmp (s, "PK\3\4", 4) == 0 || memcmp (s, "PK\5\6", 4) == 0);
}

bool wb_archive_is (const char *s, size_t n) { return is_tar (s, n) || is_zip (s, n) || is_7z (s, n); }

static bool archive_is (const wb_reader_t *r) { return wb_archive_is (wb_reader_bytes (r), wb_reader_have (r)); }

/* libarchive's code; the directory must be within reach. */
static int begin (wb_level_t *l, entries_t *e, bool memory) {
    archive_read_support_format_tar (e->a);
    archive_read_support_format_zip (e->a);
    archive_read_support_format_7zip (e->a);
    if (!memory) return wb_archive_begin (e->a, &e->in, l->r);
    return archive_read_open_memory (e->a, wb_reader_bytes (l->r), wb_reader_have (l->r));
}

static wb_status archive_open (wb_level_t *l) {
    entries_t *e = l->state = wb_calloc (1, sizeof *e);
    wb_reader_t *r = l->r;
    if (e == NULL || (e->a = archive_read_new ()) == NULL) return WB_NOMEM ("reading %s", r->name);
    const bool at_end = !is_tar (wb_reader_bytes (r), wb_reader_have (r));
    const size_t max = (size_t) r->c->o.max_bytes;
    if (at_end && !r->seeks) WB_TRY (wb_reader_peek (r, max + 1));
    if (r->seeks) r->seeks = wb_reader_seek (r, 0);
    const bool memory = at_end && !r->seeks && wb_reader_have (r) <= max;
    if (begin (l, e, memory) == ARCHIVE_OK) return WB_OK;
    WB_TRY (e->in.status);
    e->end = true;
    wb_reading_skip (r->c, "broken", r->name, "%s", archive_error_string (e->a));
    return WB_OK;
}

static void archive_close (wb_level_t *l) {
    entries_t *e = l->state;
    if (e == NULL) return;
    archive_read_free (e->a);
    wb_free (e);
}

/* The entry's name, as UTF-8: those of Windows are in its encoding. */
static wb_status put_name (wb_buf_t *out, struct archive_entry *entry) {
    const char *name = archive_entry_pathname_utf8 (entry);
    size_t at;
    int64_t stray = 0;
    if (name == NULL) name = archive_entry_pathname (entry);
    if (name == NULL) name = "?";
    if (wb_utf8_valid (name, strlen (name), &at)) return wb_buf_put (out, name, strlen (name));
    return wb_charset_convert (out, &stray, "CP932", name, strlen (name));
}

static wb_status entry_read (wb_reader_t *r, char *to, size_t *got, size_t room) {
    entries_t *e = r->state;
    const la_ssize_t n = archive_read_data (e->a, to, room);
    WB_TRY (e->in.status);
    r->out = e->out; /* all entries together may be too much */
    if (n >= 0) {
        *got = (size_t) n;
        e->out += n;
        return WB_OK;
    }
    r->broken = true;
    e->end = e->end || n == ARCHIVE_FATAL;
    wb_reading_skip (r->c, "broken", r->name, "%s", archive_error_string (e->a));
    return WB_OK;
}

/* An entry that is a file; *inner = NULL: it is not. */
static wb_status take_entry (wb_level_t *l, wb_reader_t **inner, struct archive_entry *entry) {
    entries_t *e = l->state;
    wb_buf_t name = {0};
    wb_status status = wb_buf_put (&name, l->r->name, strlen (l->r->name));
    if (status == WB_OK) status = wb_buf_put (&name, ":", 1);
    if (status == WB_OK) status = put_name (&name, entry);
    const bool regular = archive_entry_filetype (entry) == AE_IFREG && archive_entry_hardlink (entry) == NULL;
    const bool encrypted = archive_entry_is_encrypted (entry) > 0;
    if (status == WB_OK && archive_entry_filetype (entry) == AE_IFDIR)
        ;
    else if (status == WB_OK && (!regular || encrypted))
        wb_reading_skip (l->r->c, encrypted ? "encrypted" : "not a file", name.data, "%s",
                         encrypted ? "it needs a password" : "a link or a device");
    else if (status == WB_OK) {
        wb_reader_t *r = *inner = wb_reader_new (l->r->c, name.data);
        if (r == NULL)
            status = WB_NOMEM ("reading %s", name.data);
        else
            r->state = e, r->read = entry_read, r->bounded = true, r->out = e->out;
    }
    wb_buf_fini (&name);
    return status;
}

static wb_status archive_next (wb_level_t *l, wb_step *step, wb_record_t *rec, wb_reader_t **inner) {
    enum { FAILURES = 100 };
    entries_t *e = l->state;
    (void) rec;
    for (*inner = NULL; *inner == NULL && !e->end;) {
        struct archive_entry *entry;
        const int code = archive_read_next_header (e->a, &entry);
        WB_TRY (e->in.status);
        if (code == ARCHIVE_EOF) break;
        if (code == ARCHIVE_OK || code == ARCHIVE_WARN) {
            WB_TRY (take_entry (l, inner, entry));
            continue;
        }
        e->end = code == ARCHIVE_FATAL || ++e->failures == FAILURES;
        wb_reading_skip (l->r->c, archive_read_has_encrypted_entries (e->a) > 0 ? "encrypted" : "broken", l->r->name,
                         "%s", archive_error_string (e->a));
    }
    *step = *inner != NULL ? WB_STEP_INNER : WB_STEP_END;
    return WB_OK;
}

const wb_container_t wb_container_archive = {"archive", archive_is, archive_open, archive_next, archive_close, true};
