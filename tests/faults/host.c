/* Preloaded into a program: its wall clock is wrong, and calls on some paths hang, as a file says while it runs.

   HOST_STATE: file of two 64-bit integers: seconds to add to the wall clock; not 0 while calls hang.
   HOST_HANGS: paths, with colons between; calls on these and on what is below wait until that is over. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static const int64_t right[2];
static const volatile int64_t *state = right;
static const char *hangs = "";

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("HOST_STATE");
    int fd = name ? syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof right, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        state = mapped;
    if (fd >= 0)
        close(fd);
    if (getenv("HOST_HANGS"))
        hangs = getenv("HOST_HANGS");
}

/* --- the clock --- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int done = syscall(SYS_clock_gettime, clock, now);
    if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += state[0];
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now)
        *now = found.tv_sec;
    return found.tv_sec;
}

/* --- what hangs --- */

static int is_hung(const char *path)
{
    for (const char *one = hangs; path && *one;) {
        size_t size = strcspn(one, ":");
        if (size && strncmp(path, one, size) == 0 && (path[size] == 0 || path[size] == '/'))
            return 1;
        one += size + (one[size] == ':');
    }
    return 0;
}

static void wait_for(const char *path)
{
    while (state[1] && is_hung(path))
        usleep(20000);
}

static void wait_for_fd(int fd)
{
    char link[64], path[4096];
    if (!state[1])
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    wait_for(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENING(name)                                   \
    int name(const char *path, int flags, ...)          \
    {                                                   \
        va_list rest;                                   \
        va_start(rest, flags);                          \
        mode_t mode = va_arg(rest, mode_t);             \
        va_end(rest);                                   \
        wait_for(path);                                 \
        return REAL(name)(path, flags, mode);           \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                \
    int name(int at, const char *path, int flags, ...)  \
    {                                                   \
        va_list rest;                                   \
        va_start(rest, flags);                          \
        mode_t mode = va_arg(rest, mode_t);             \
        va_end(rest);                                   \
        wait_for_fd(at);                                \
        wait_for(path);                                 \
        return REAL(name)(at, path, flags, mode);       \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

#define ON_PATH(name, type)                             \
    int name(const char *path, type *found)             \
    {                                                   \
        wait_for(path);                                 \
        return REAL(name)(path, found);                 \
    }
ON_PATH(stat, struct stat)
ON_PATH(stat64, struct stat64)
ON_PATH(lstat, struct stat)
ON_PATH(lstat64, struct stat64)
ON_PATH(statvfs, struct statvfs)
ON_PATH(statvfs64, struct statvfs64)

#define ON_PATH_AT(name, type)                                      \
    int name(int at, const char *path, type *found, int flags)      \
    {                                                               \
        wait_for_fd(at);                                            \
        wait_for(path);                                             \
        return REAL(name)(at, path, found, flags);                  \
    }
ON_PATH_AT(fstatat, struct stat)
ON_PATH_AT(fstatat64, struct stat64)

DIR *opendir(const char *path)
{
    wait_for(path);
    return REAL(opendir)(path);
}

ssize_t read(int fd, void *data, size_t size)
{
    wait_for_fd(fd);
    return syscall(SYS_read, fd, data, size);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset)
{
    wait_for_fd(fd);
    return syscall(SYS_pread64, fd, data, size, offset);
}

ssize_t readlink(const char *restrict path, char *restrict data, size_t size)
{
    wait_for(path);
    return syscall(SYS_readlinkat, AT_FDCWD, path, data, size);
}
