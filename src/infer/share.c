/* Weights as inference uses them, in a file beside the model that processes map.
 *
 * The file is a head of one page and the block of weights (weights.c), its matrices in panels.  The pages of a
 * mapped file are in memory once, however many processes read them; they cost no reading when the file is in the page
 * cache, and no rearranging.  The head says which files of the directory the weights come from, by name, size and time;
 * if these change, the file does not count, and is made anew.
 *
 * Not here: reading a model's own files (model.c), adapters, whose weights are merged in the memory of a process. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "infer/infer_priv.h"

#define MAGIC "wabunpn2"
enum { HEAD = 4096, PIECE = 4 << 20 }; /* bytes: of the head; of what is hashed at a time */

typedef struct head {
    char magic[8];
    uint64_t panel, type; /* columns of a panel, how its numbers are stored */
    uint64_t bytes;       /* of the block */
    uint64_t source;      /* of the files it was made from */
    uint64_t weights;     /* hash of the block */
    uint64_t itself;      /* hash of what stands before it here */
} head_t;

static uint64_t mix (uint64_t a, uint64_t b) {
    const uint64_t both[2] = {a, b};
    return wb_hash64 (both, sizeof both);
}

static uint64_t hash_block (const void *block, size_t bytes) {
    uint64_t h = bytes;
    for (size_t at = 0; at < bytes; at += PIECE)
        h = mix (h, wb_hash64 ((const char *) block + at, bytes - at < PIECE ? bytes - at : PIECE));
    return h;
}

/* ---- what it was made from --------------------------------------------------------------------------------------- */

static bool ends_with (const char *s, const char *end) {
    const size_t n = strlen (s), m = strlen (end);
    return n >= m && strcmp (s + n - m, end) == 0;
}

static bool is_source (const char *name) {
    if (strcmp (name, "optimizer.safetensors") == 0) return false;
    return strcmp (name, "config.json") == 0 || ends_with (name, ".safetensors") ||
           ends_with (name, ".safetensors.index.json");
}

/* The files of weights and sizes in dir, whatever their order. */
static wb_status hash_sources (uint64_t *out, const char *dir) {
    wb_names_t names;
    *out = 0;
    WB_TRY (wb_dir_list (&names, dir));
    wb_status status = WB_OK;
    for (int64_t i = 0; status == WB_OK && i < names.len; i++) {
        struct stat st;
        if (!is_source (names.data[i])) continue;
        char *path = wb_format ("%s/%s", dir, names.data[i]);
        if (path == NULL) status = WB_NOMEM ("model %s", dir);
        if (path != NULL && stat (path, &st) == 0) {
            uint64_t h = wb_hash64 (names.data[i], strlen (names.data[i]));
            h = mix (mix (h, (uint64_t) st.st_size), (uint64_t) st.st_mtim.tv_sec);
            *out += mix (h, (uint64_t) st.st_mtim.tv_nsec);
        }
        wb_free (path);
    }
    wb_names_fini (&names);
    return status;
}

static wb_status make_head (head_t *h, const char *dir, wb_weights_type type, size_t bytes, uint64_t weights) {
    *h = (head_t){.magic = MAGIC, .panel = WB_PANEL, .type = type, .bytes = bytes, .weights = weights};
    WB_TRY (hash_sources (&h->source, dir));
    h->itself = wb_hash64 (h, offsetof (head_t, itself));
    return WB_OK;
}

/* ---- mapping ----------------------------------------------------------------------------------------------------- */

static bool belongs (const head_t *found, const head_t *want) {
    return memcmp (found->magic, want->magic, sizeof found->magic) == 0 && found->panel == want->panel &&
           found->type == want->type && found->bytes == want->bytes && found->source == want->source &&
           found->itself == wb_hash64 (found, offsetof (head_t, itself));
}

static char *path_of (const char *dir, wb_weights_type type) {
    if (type == WB_WEIGHTS_FP32) return wb_format ("%s/" WB_SHARED_FILE, dir);
    return wb_format ("%s/" WB_SHARED_FILE ".%s", dir, wb_weights_names[type]);
}

wb_status wb_shared_map (wb_shared_t *out, const char *dir, wb_weights_type type, size_t size, bool verify) {
    head_t want;
    struct stat st;
    *out = (wb_shared_t){0};
    WB_TRY (make_head (&want, dir, type, size, 0));
    char *path = path_of (dir, type);
    if (path == NULL) return WB_NOMEM ("model %s", dir);
    const int fd = open (path, O_RDONLY | O_CLOEXEC);
    wb_free (path);
    const size_t bytes = HEAD + size;
    void *map = fd >= 0 && fstat (fd, &st) == 0 && (uint64_t) st.st_size == bytes
                    ? mmap (NULL, bytes, PROT_READ, MAP_SHARED, fd, 0)
                    : MAP_FAILED;
    if (fd >= 0) close (fd);
    if (map == MAP_FAILED) return WB_OK;
    (void) madvise (map, bytes, MADV_WILLNEED);
    const head_t *found = map;
    float *block = (float *) (void *) ((char *) map + HEAD);
    if (belongs (found, &want) && (!verify || hash_block (block, bytes - HEAD) == found->weights))
        *out = (wb_shared_t){.map = map, .bytes = bytes, .block = block};
    else
        munmap (map, bytes);
    return WB_OK;
}

void wb_shared_unmap (wb_shared_t *s) {
    if (s->map != NULL) munmap (s->map, s->bytes);
    *s = (wb_shared_t){0};
}

static wb_status write_file (const char *dir, wb_weights_type type, const void *weights, size_t bytes) {
    union {
        head_t head;
        char page[HEAD];
    } first = {.page = {0}};
    wb_writer_t w;
    WB_TRY (make_head (&first.head, dir, type, bytes, hash_block (weights, bytes)));
    char *path = path_of (dir, type);
    if (path == NULL) return WB_NOMEM ("model %s", dir);
    wb_status status = wb_writer_begin (&w, path);
    wb_free (path);
    WB_TRY (status);
    status = wb_writer_put (&w, first.page, sizeof first.page);
    if (status == WB_OK) status = wb_writer_put (&w, weights, bytes);
    if (status == WB_OK) status = wb_writer_end (&w);
    wb_writer_cancel (&w);
    return status;
}

/* Of several that find no file only one makes it, where the file system has locks. */
wb_status wb_shared_make (wb_shared_t *out, const char *dir, wb_weights_type type, const void *weights, size_t bytes) {
    const int lock = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0) (void) flock (lock, LOCK_EX);
    wb_status status = wb_shared_map (out, dir, type, bytes, true);
    if (status == WB_OK && out->map == NULL) {
        status = write_file (dir, type, weights, bytes);
        if (status == WB_OK) status = wb_shared_map (out, dir, type, bytes, false);
    }
    if (lock >= 0) close (lock);
    return status;
}
