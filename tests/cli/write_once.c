/* A file system that is written once, as object storage is: below $WRITE_ONCE nothing is renamed, linked, appended to, cut off or opened again for
   writing. Stands in front of the C library's calls (LD_PRELOAD). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_below(const char *path) {
  const char *root = getenv("WRITE_ONCE");
  return root && strncmp(path, root, strlen(root)) == 0;
}

static int refuse(void) {
  errno = EOPNOTSUPP;
  return -1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int rename(const char *from, const char *to) { return is_below(to) ? refuse() : NEXT(rename)(from, to); }
int renameat(int a, const char *from, int b, const char *to) {
  return is_below(to) ? refuse() : NEXT(renameat)(a, from, b, to);
}
int renameat2(int a, const char *from, int b, const char *to, unsigned int flags) {
  return is_below(to) ? refuse() : NEXT(renameat2)(a, from, b, to, flags);
}
int link(const char *from, const char *to) { return is_below(to) ? refuse() : NEXT(link)(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
  return is_below(to) ? refuse() : NEXT(linkat)(a, from, b, to, flags);
}

static int is_open_below(int fd) {
  char link[32], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}
int ftruncate(int fd, off_t length) { return is_open_below(fd) ? refuse() : NEXT(ftruncate)(fd, length); }
int ftruncate64(int fd, off64_t length) { return is_open_below(fd) ? refuse() : NEXT(ftruncate64)(fd, length); }

static int is_refused(const char *path, int flags) {
  if (!is_below(path)) return 0;
  if (flags & O_APPEND) return 1;
  struct stat info;
  int isThere = stat(path, &info) == 0 && S_ISREG(info.st_mode);
  return (flags & O_ACCMODE) != O_RDONLY && isThere && !(flags & O_EXCL);
}

#define OPEN(name)                                                            \
  int name(const char *path, int flags, ...) {                                \
    va_list rest;                                                             \
    va_start(rest, flags);                                                    \
    mode_t mode = va_arg(rest, mode_t);                                       \
    va_end(rest);                                                             \
    return is_refused(path, flags) ? refuse() : NEXT(name)(path, flags, mode); \
  }
#define OPENAT(name)                                                              \
  int name(int at, const char *path, int flags, ...) {                            \
    va_list rest;                                                                 \
    va_start(rest, flags);                                                        \
    mode_t mode = va_arg(rest, mode_t);                                           \
    va_end(rest);                                                                 \
    return is_refused(path, flags) ? refuse() : NEXT(name)(at, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
