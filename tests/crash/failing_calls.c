/* Fails system calls that change, or read, files below a directory, as a disk does that refuses once, or from now on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static char below[PATH_MAX];
static long failing, counted;
static int names = -1;
static char reads; /* 'r' if calls that read are counted, 'w' if those that change something are */
static const char *kind = "";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* FAILING_CALLS=<w or r><number>:<file>:<directory>: of the calls that change (w) or read (r) a file, the one with this
   number, from 1, fails with EIO; none if it is 0. If it is negative, all later calls of the same kind fail, too. The names
   of all are written to the file. */
static int is_on(void) {
    if (*below)
        return 1;
    const char *plan = getenv("FAILING_CALLS");
    char file[PATH_MAX];
    if (!plan || sscanf(plan, "%c%ld:%[^:]:%[^:]", &reads, &failing, file, below) != 4)
        return 0;
    names = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    strcat(below, "/");
    return 1;
}

static int fails(const char *call, const char *path) {
    int is_read = !strcmp(call, "read") || !strcmp(call, "mmap");
    if (!is_on() || is_read != (reads == 'r') || strncmp(path, below, strlen(below)))
        return 0;
    int saved = errno;
    pthread_mutex_lock(&lock);
    if (++counted == -failing)
        kind = call;
    int is_it = counted == failing || !strcmp(call, kind);
    pthread_mutex_unlock(&lock);
    dprintf(names, "%s %s\n", call, path + strlen(below));
    errno = is_it ? EIO : saved;
    return is_it;
}

static int fails_open(const char *call, int fd) {
    char link[64], path[PATH_MAX];
    if (!is_on() || fd == names)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(call, path);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *from, size_t n) {
    REAL(write);
    return fails_open("write", fd) ? -1 : real(fd, from, n);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
    REAL(pwrite);
    return fails_open("write", fd) ? -1 : real(fd, from, n, at);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) {
    REAL(pwrite64);
    return fails_open("write", fd) ? -1 : real(fd, from, n, at);
}

ssize_t read(int fd, void *to, size_t n) {
    REAL(read);
    return fails_open("read", fd) ? -1 : real(fd, to, n);
}

ssize_t pread(int fd, void *to, size_t n, off_t at) {
    REAL(pread);
    return fails_open("read", fd) ? -1 : real(fd, to, n, at);
}

ssize_t pread64(int fd, void *to, size_t n, off64_t at) {
    REAL(pread64);
    return fails_open("read", fd) ? -1 : real(fd, to, n, at);
}

void *mmap(void *at, size_t n, int rights, int flags, int fd, off_t from) {
    REAL(mmap);
    return fd >= 0 && fails_open("mmap", fd) ? MAP_FAILED : real(at, n, rights, flags, fd, from);
}

void *mmap64(void *at, size_t n, int rights, int flags, int fd, off64_t from) {
    REAL(mmap64);
    return fd >= 0 && fails_open("mmap", fd) ? MAP_FAILED : real(at, n, rights, flags, fd, from);
}

int fsync(int fd) {
    REAL(fsync);
    return fails_open("fsync", fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return fails_open("fsync", fd) ? -1 : real(fd);
}

int ftruncate(int fd, off_t n) {
    REAL(ftruncate);
    return fails_open("truncate", fd) ? -1 : real(fd, n);
}

int ftruncate64(int fd, off64_t n) {
    REAL(ftruncate64);
    return fails_open("truncate", fd) ? -1 : real(fd, n);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    return fails("rename", to) ? -1 : real(from, to);
}

int unlink(const char *path) {
    REAL(unlink);
    return fails("unlink", path) ? -1 : real(path);
}
