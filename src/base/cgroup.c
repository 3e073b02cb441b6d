/* Limits of the control groups this process is in: processor time and memory.
 *
 * Containers and batch systems restrict a process by control groups, which neither the affinity mask nor /proc/meminfo
 * shows.  /proc/self/cgroup names the groups ("0::PATH" for version 2, "N:CONTROLLERS:PATH" for version 1); each may be
 * restricted, and so may all above it, so every level is read up to the root.  Inside a container the mounted tree may
 * begin below the path that is named; then only the levels that exist are read.  A file that is missing or makes no
 * sense is no limit.
 *
 * Sources: Linux, Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst and scheduler/sched-bwc.rst; Slurm,
 * sbatch(1), output environment variables.
 *
 * Not done here: cpusets, which the affinity mask shows; swap. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wabun/base.h"

#define MOUNT "/sys/fs/cgroup"

enum { PATH_BYTES = 4096 };

/* The names of one version's files. */
typedef struct version {
    const char *memory_max, *memory_now, *inactive, *active;
} version_t;
static const version_t v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                             "total_active_file"};
static const version_t v2 = {"memory.max", "memory.current", "inactive_file", "active_file"};

static FILE *open_in (const char *dir, const char *name) {
    char path[PATH_BYTES];
    int n = snprintf (path, sizeof path, "%s/%s", dir, name);
    return n > 0 && n < (int) sizeof path ? fopen (path, "re") : NULL;
}

/* Up to two whole numbers > 0 in the file's first line, as many as are expected; false for anything else ("max", -1).
 */
static bool read_numbers (const char *dir, const char *name, int64_t *out, int expected) {
    char line[128], *at = line;
    FILE *f = open_in (dir, name);
    if (f == NULL) return false;
    bool ok = fgets (line, sizeof line, f) != NULL;
    fclose (f);
    for (int i = 0; ok && i < expected; i++) {
        char *end;
        errno = 0;
        out[i] = strtoll (at, &end, 10);
        ok = end != at && errno == 0 && out[i] > 0 && (*end == 0 || *end == '\n' || *end == ' ');
        at = end;
    }
    return ok;
}

/* A line "NAME NUMBER" of memory.stat; 0 where there is none. */
static int64_t read_stat (const char *dir, const char *name) {
    char line[256];
    long long value = 0;
    const size_t n = strlen (name);
    FILE *f = open_in (dir, "memory.stat");
    if (f == NULL) return 0;
    while (fgets (line, sizeof line, f) != NULL)
        if (strncmp (line, name, n) == 0 && line[n] == ' ' && sscanf (line + n, "%lld", &value) == 1) break;
    fclose (f);
    return value > 0 ? value : 0;
}

static void read_cpus (wb_limits_t *out, const char *dir, const version_t *v) {
    int64_t quota[2]; /* microseconds of processor time in each period */
    bool found = v == &v2 ? read_numbers (dir, "cpu.max", quota, 2)
                          : read_numbers (dir, "cpu.cfs_quota_us", quota, 1) &&
                                read_numbers (dir, "cpu.cfs_period_us", quota + 1, 1);
    if (!found) return;
    double cpus = (double) quota[0] / (double) quota[1];
    struct stat st;
    if (out->cpus > 0 && out->cpus <= cpus) return;
    out->cpus = cpus;
    out->cpus_group = stat (dir, &st) == 0 ? (uint64_t) st.st_ino : 0;
}

static void read_memory (wb_limits_t *out, const char *dir, const version_t *v) {
    int64_t max, now;
    if (!read_numbers (dir, v->memory_max, &max, 1)) return;
    if (!read_numbers (dir, v->memory_now, &now, 1)) now = 0;
    now -= read_stat (dir, v->inactive) + read_stat (dir, v->active); /* the page cache gives way */
    if (now < 0) now = 0;
    size_t left = max > now ? (size_t) (max - now) : 0;
    if (left < out->memory) out->memory = left;
}

/* Read every level from `path` up to the root of the tree at `mount`. */
static void read_levels (wb_limits_t *out, const char *mount, const char *path, const version_t *v, bool cpus,
                         bool memory) {
    char dir[PATH_BYTES];
    const size_t root = strlen (mount);
    int n = snprintf (dir, sizeof dir, "%s%s", mount, strcmp (path, "/") == 0 ? "" : path);
    if (n < 0 || n >= (int) sizeof dir || strstr (path, "/..") != NULL) return; /* /..: outside of this container */
    for (;;) {
        if (cpus) read_cpus (out, dir, v);
        if (memory) read_memory (out, dir, v);
        char *slash = strrchr (dir + root, '/');
        if (slash == NULL) return;
        *slash = 0;
    }
}

static bool has_word (const char *list, const char *word) {
    const size_t n = strlen (word);
    for (const char *at = list; (at = strstr (at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == 0)) return true;
    return false;
}

void wb_limits_read (wb_limits_t *out, const char *root) {
    char line[PATH_BYTES], mount[PATH_BYTES];
    *out = (wb_limits_t){.memory = SIZE_MAX};
    snprintf (line, sizeof line, "%s/proc/self", root);
    FILE *f = open_in (line, "cgroup");
    while (f != NULL && fgets (line, sizeof line, f) != NULL) {
        line[strcspn (line, "\n")] = 0;
        char *list = strchr (line, ':'), *path = list != NULL ? strchr (list + 1, ':') : NULL;
        if (path == NULL) continue;
        *path++ = 0;
        list++;
        if (*list == 0) {
            snprintf (mount, sizeof mount, "%s" MOUNT, root);
            read_levels (out, mount, path, &v2, true, true);
            snprintf (mount, sizeof mount, "%s" MOUNT "/unified", root); /* where both versions are mounted */
            read_levels (out, mount, path, &v2, true, true);
        }
        const char *const controllers[] = {"cpu", "memory"};
        for (int i = 0; i < 2; i++) {
            if (!has_word (list, controllers[i])) continue;
            snprintf (mount, sizeof mount, "%s" MOUNT "/%s", root, controllers[i]);
            read_levels (out, mount, path, &v1, i == 0, i == 1);
        }
    }
    if (f != NULL) fclose (f);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static size_t available (void) {
    FILE *f = fopen ("/proc/meminfo", "re");
    if (f == NULL) return SIZE_MAX;
    char line[128];
    size_t kib = 0;
    bool found = false;
    while (!found && fgets (line, sizeof line, f) != NULL) found = sscanf (line, "MemAvailable: %zu kB", &kib) == 1;
    fclose (f);
    return found ? kib * 1024 : SIZE_MAX;
}

/* What Slurm granted on this node, less what this process holds: clusters without control groups end a job that uses
 * more. */
static size_t granted (void) {
    int64_t mib = wb_env_number ("SLURM_MEM_PER_NODE"), pages = 0, all;
    const int64_t each = wb_env_number ("SLURM_MEM_PER_CPU"), cpus = wb_env_number ("SLURM_CPUS_ON_NODE");
    if (mib <= 0 && each > 0 && cpus > 0 && cpus < 1 << 20) mib = each < (int64_t) 1 << 40 ? each * cpus : each;
    if (mib <= 0 || mib > (int64_t) 1 << 40) return SIZE_MAX; /* 0: all of the node's */
    FILE *f = fopen ("/proc/self/statm", "re");
    if (f != NULL) {
        long long a, b;
        if (fscanf (f, "%lld %lld", &a, &b) == 2) pages = b;
        fclose (f);
    }
    all = mib << 20;
    int64_t held = pages * sysconf (_SC_PAGESIZE);
    return held < all ? (size_t) (all - held) : 0;
}

/* Linux promises more memory than there is and kills the process that uses it; asking first gives an error that can be
 * read instead. */
size_t wb_mem_free (void) {
    wb_limits_t limits;
    wb_limits_read (&limits, "");
    size_t bytes = available (), slurm = granted ();
    if (limits.memory < bytes) bytes = limits.memory;
    return slurm < bytes ? slurm : bytes;
}
