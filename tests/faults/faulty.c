/* Preloaded into a program: lets calls on files below FAULT_DIR fail, or the program die, at the FAULT_AT-th of them.

   FAULT_KIND: "kill" (dies before the call), "torn" (dies after half of a write), or a number: errno of a failure.
   FAULT_FOR:  how many calls in a row fail; 1 by default.
   FAULT_COUNT: file to which the number of calls is written at the end. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;
static long at, lasting;
static int number;
static const char *folder, *kind;

__attribute__((constructor)) static void begin(void)
{
    folder = getenv("FAULT_DIR");
    kind = getenv("FAULT_KIND");
    at = getenv("FAULT_AT") ? atol(getenv("FAULT_AT")) : 0;
    lasting = getenv("FAULT_FOR") ? atol(getenv("FAULT_FOR")) : 1;
    number = kind ? atoi(kind) : 0;
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

/* 0: go on; 1: fail with errno; 2: write half and die. */
static int fate(int ours, int writes)
{
    if (!ours || !folder)
        return 0;
    long now = atomic_fetch_add(&calls, 1) + 1;
    if (!at || now < at || now >= at + lasting)
        return 0;
    if (number) {
        errno = number;
        return 1;
    }
    if (writes && kind && strcmp(kind, "torn") == 0)
        return 2;
    kill(getpid(), SIGKILL);
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITING(name, offset_type)                                                          \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset)                 \
    {                                                                                       \
        int found = fate(holds(fd), 1);                                                     \
        if (found == 1)                                                                     \
            return -1;                                                                      \
        ssize_t done = REAL(name)(fd, data, found == 2 ? size / 2 : size, offset);          \
        if (found == 2)                                                                     \
            kill(getpid(), SIGKILL);                                                        \
        return done;                                                                        \
    }
WRITING(pwrite, off_t)
WRITING(pwrite64, off64_t)

#define ON_FD(name)                                                                         \
    int name(int fd)                                                                        \
    {                                                                                       \
        return fate(holds(fd), 0) ? -1 : REAL(name)(fd);                                    \
    }
ON_FD(fsync)
ON_FD(fdatasync)

int ftruncate(int fd, off_t size) { return fate(holds(fd), 0) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fate(holds(fd), 0) ? -1 : REAL(ftruncate64)(fd, size); }
int unlink(const char *path) { return fate(is_ours(path), 0) ? -1 : REAL(unlink)(path); }
int rename(const char *from, const char *to) { return fate(is_ours(to), 0) ? -1 : REAL(rename)(from, to); }
