/* Preloaded into a program: lets calls that change files below FAULT_DIR fail, or the program die, at some of them.

   FAULT_KIND:  "kill" (dies before the call), "torn" (dies after half of a write), or a number: errno of a failure.
   FAULT_AT:    number of the first call to which that happens, FAULT_FOR: to how many in a row; 1 by default.
   FAULT_ONLY:  "fsync": nothing but flushes is counted and fails.
   FAULT_COUNT: file to which the number of calls is written at the end.
   FAULT_STATE: file of three 64-bit integers that are read all the while, for a program that runs on: errno of every
                call as long as it is not 0; not 0 if only flushes fail; the third counts how many have failed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { ERROR, ONLY_FLUSHES, FAILED, WORDS };
typedef enum { FLUSH, WRITE, OTHER } Deed;
typedef enum { GO_ON, FAIL, TEAR } Fate;

static atomic_long calls;
static long at, lasting;
static int number, only_flushes;
static const char *folder, *kind;
static _Atomic int64_t right[WORDS], *state = right;

static void attach(const char *name)
{
    int fd = name ? syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof right, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        state = mapped;
    if (fd >= 0)
        close(fd);
}

__attribute__((constructor)) static void begin(void)
{
    const char *only = getenv("FAULT_ONLY");
    folder = getenv("FAULT_DIR");
    kind = getenv("FAULT_KIND");
    at = getenv("FAULT_AT") ? atol(getenv("FAULT_AT")) : 0;
    lasting = getenv("FAULT_FOR") ? atol(getenv("FAULT_FOR")) : 1;
    number = kind ? atoi(kind) : 0;
    only_flushes = only && strcmp(only, "fsync") == 0;
    attach(getenv("FAULT_STATE"));
}

__attribute__((destructor)) static void end(void)
{
    const char *name = getenv("FAULT_COUNT");
    FILE *file = name ? fopen(name, "w") : NULL;
    if (file) {
        fprintf(file, "%ld\n", atomic_load(&calls));
        fclose(file);
    }
}

static int is_ours(const char *path)
{
    return folder && strncmp(path, folder, strlen(folder)) == 0 && !strstr(path, "-shm");
}

static int holds(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_ours(path);
}

static Fate fate(int ours, Deed deed)
{
    if (!ours)
        return GO_ON;
    if (state[ERROR] && (deed == FLUSH || !state[ONLY_FLUSHES])) {
        atomic_fetch_add(&state[FAILED], 1);
        errno = state[ERROR];
        return FAIL;
    }
    if (only_flushes && deed != FLUSH)
        return GO_ON;
    long now = atomic_fetch_add(&calls, 1) + 1;
    if (!at || now < at || now >= at + lasting)
        return GO_ON;
    if (number) {
        errno = number;
        return FAIL;
    }
    if (deed == WRITE && strcmp(kind, "torn") == 0)
        return TEAR;
    kill(getpid(), SIGKILL);
    return FAIL;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITING(name, offset_type)                                                          \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset)                 \
    {                                                                                       \
        Fate found = fate(holds(fd), WRITE);                                                \
        if (found == FAIL)                                                                  \
            return -1;                                                                      \
        ssize_t done = REAL(name)(fd, data, found == TEAR ? size / 2 : size, offset);       \
        if (found == TEAR)                                                                  \
            kill(getpid(), SIGKILL);                                                        \
        return done;                                                                        \
    }
WRITING(pwrite, off_t)
WRITING(pwrite64, off64_t)

int fsync(int fd) { return fate(holds(fd), FLUSH) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fate(holds(fd), FLUSH) ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { return fate(holds(fd), OTHER) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fate(holds(fd), OTHER) ? -1 : REAL(ftruncate64)(fd, size); }
int unlink(const char *path) { return fate(is_ours(path), OTHER) ? -1 : REAL(unlink)(path); }
int mkdir(const char *path, mode_t mode) { return fate(is_ours(path), OTHER) ? -1 : REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) { return fate(is_ours(to), OTHER) ? -1 : REAL(rename)(from, to); }
int link(const char *from, const char *to) { return fate(is_ours(to), OTHER) ? -1 : REAL(link)(from, to); }

/* A disk that cannot be written lets nothing be opened for writing. */
#define OPENING(name)                                                                       \
    int name(const char *path, int flags, ...)                                              \
    {                                                                                       \
        va_list rest;                                                                       \
        va_start(rest, flags);                                                              \
        mode_t mode = va_arg(rest, mode_t);                                                 \
        va_end(rest);                                                                       \
        int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;                    \
        return fate(writes && is_ours(path), OTHER) ? -1 : REAL(name)(path, flags, mode);   \
    }
OPENING(open)
OPENING(open64)
