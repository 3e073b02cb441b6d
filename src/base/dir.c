/* Directories: listing, making, removing, syncing.  Nothing here follows symbolic links downwards. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wabun/base.h"

void wb_names_fini (wb_names_t *n) {
    for (int64_t i = 0; i < n->len; i++) wb_free (n->data[i]);
    wb_free (n->data);
    *n = (wb_names_t){0};
}

static int by_bytes (const void *a, const void *b) { return strcmp (*(char *const *) a, *(char *const *) b); }

static wb_status list (wb_names_t *out, DIR *d, const char *path) {
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir (d);
        if (e == NULL && errno != 0) return WB_FAIL (WB_EIO, "%s: cannot read: %s", path, strerror (errno));
        if (e == NULL) break;
        if (strcmp (e->d_name, ".") == 0 || strcmp (e->d_name, "..") == 0) continue;
        if (!WB_GROW (out->data, out->cap, out->len + 1)) return WB_NOMEM ("names in %s", path);
        if ((out->data[out->len] = wb_strdup (e->d_name)) == NULL) return WB_NOMEM ("names in %s", path);
        out->len++;
    }
    if (out->len > 0) qsort (out->data, (size_t) out->len, sizeof *out->data, by_bytes);
    return WB_OK;
}

wb_status wb_dir_list (wb_names_t *out, const char *path) {
    *out = (wb_names_t){0};
    DIR *d = opendir (path);
    if (d == NULL && errno == ENOMEM) return WB_NOMEM ("%s", path);
    if (d == NULL) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    wb_status status = list (out, d, path);
    closedir (d);
    if (status != WB_OK) wb_names_fini (out);
    return status;
}

wb_status wb_dir_make (const char *path) {
    char *p = wb_strdup (path);
    if (p == NULL) return WB_NOMEM ("%s", path);
    wb_status status = WB_OK;
    for (char *q = p;;) {
        while (*q == '/') q++;
        while (*q != 0 && *q != '/') q++;
        char next = *q;
        *q = 0;
        /* Several ranks may make the same directory: all that matters is that it exists. */
        int error = p[0] != 0 && mkdir (p, 0777) != 0 ? errno : 0;
        if (error != 0 && !wb_file_is_dir (p)) {
            status = WB_FAIL (WB_EIO, "%s: cannot make the directory: %s", p,
                              error != EEXIST      ? strerror (error)
                              : wb_file_exists (p) ? "a file of that name is in the way"
                                                   : "a symbolic link of that name leads nowhere");
            break;
        }
        if (next == 0) break;
        *q = next;
    }
    wb_free (p);
    return status;
}

static int remove_one (const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void) st, (void) ftw;
    int bad = type == FTW_DP ? rmdir (path) : unlink (path);
    if (bad == 0 || errno == ENOENT) return 0;
    (void) WB_FAIL (WB_EIO, "%s: cannot remove: %s", path, strerror (errno));
    return 1;
}

wb_status wb_dir_remove (const char *path) {
    struct stat st;
    if (lstat (path, &st) != 0 && errno == ENOENT) return WB_OK;
    int bad = nftw (path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (bad == 0) return WB_OK;
    return bad > 0 ? WB_EIO : WB_FAIL (WB_EIO, "%s: cannot remove: %s", path, strerror (errno));
}

wb_status wb_dir_sync (const char *path) {
    int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return WB_FAIL (WB_EIO, "%s: cannot open: %s", path, strerror (errno));
    int error = fsync (fd) != 0 ? errno : 0;
    close (fd);
    /* Some file systems cannot sync a directory; then nothing can be done about it. */
    if (error != 0 && error != EINVAL && error != ENOTSUP)
        return WB_FAIL (WB_EIO, "%s: cannot sync: %s", path, strerror (error));
    return WB_OK;
}

char *wb_dir_latest (const char *path) {
    size_t length = strlen (path);
    while (length > 1 && path[length - 1] == '/') length--;
    char *plain = wb_strndup (path, length), name[256];
    struct stat st;
    const char *last = plain != NULL ? wb_file_name (plain) : "";
    const bool link = strcmp (last, "latest") == 0 || strcmp (last, "best") == 0;
    if (!link || stat (plain, &st) != 0 || !S_ISREG (st.st_mode)) {
        wb_free (plain);
        return wb_strdup (path);
    }
    int fd = open (plain, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    if (fd < 0 || wb_fd_read (fd, name, &n, sizeof name - 1, 0) != 0) n = 0;
    if (fd >= 0) close (fd);
    name[n] = 0;
    name[strcspn (name, "\r\n")] = 0;
    char *found = NULL;
    if (name[0] != 0 && strchr (name, '/') == NULL)
        found = wb_format ("%.*s%s", (int) (wb_file_name (plain) - plain), plain, name);
    else
        found = wb_strdup (path);
    wb_free (plain);
    return found;
}
