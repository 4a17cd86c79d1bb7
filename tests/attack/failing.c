/* Makes chosen calls of one process fail with a chosen errno, as often as a table says; preloaded into a daemon.
 *
 * The table is the file that FAILING_TABLE names: for each of CALLS three ints, errno (0: the call works), how many in a thousand
 * fail, and a count of those that did. Who attacks writes into the file while the daemon lives. Children get no table.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN, WRITE, PWRITE, FSYNC, FDATASYNC, MKDIR, RENAME, FORK, SPAWN, ACCEPT, SENDMSG, RECVMSG, PIPE, SOCKET, THREAD, CALLS };
struct row { int error, permille, failed; };
static struct row *table;
static pid_t owner;
static unsigned state = 1;

__attribute__((constructor)) static void find_table(void) {
  const char *path = getenv("FAILING_TABLE");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *found = mmap(NULL, CALLS * sizeof(struct row), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  unsetenv("FAILING_TABLE");
  unsetenv("LD_PRELOAD");
  if (found != MAP_FAILED) table = found, owner = getpid();
}

static int fails(int call) {
  if (!table || !table[call].error || getpid() != owner) return 0;
  unsigned dice = __atomic_add_fetch(&state, 2654435761u, __ATOMIC_RELAXED);
  dice ^= dice >> 15, dice *= 2246822519u, dice ^= dice >> 13;
  if ((int)(dice % 1000) >= table[call].permille) return 0;
  __atomic_add_fetch(&table[call].failed, 1, __ATOMIC_RELAXED);
  errno = table[call].error;
  return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRAP(type, name, call, parameters, ...) \
  type name parameters { return fails(call) ? (type)-1 : NEXT(name)(__VA_ARGS__); }
#define WRAP_OPEN(name, parameters, ...)                        \
  int name parameters {                                         \
    __builtin_va_list more;                                     \
    __builtin_va_start(more, flags);                            \
    mode_t mode = __builtin_va_arg(more, mode_t);               \
    __builtin_va_end(more);                                     \
    return fails(OPEN) ? -1 : NEXT(name)(__VA_ARGS__, mode);    \
  }
WRAP_OPEN(open, (const char *path, int flags, ...), path, flags)
WRAP_OPEN(open64, (const char *path, int flags, ...), path, flags)
WRAP_OPEN(openat, (int at, const char *path, int flags, ...), at, path, flags)
WRAP_OPEN(openat64, (int at, const char *path, int flags, ...), at, path, flags)
WRAP(ssize_t, write, WRITE, (int fd, const void *data, size_t size), fd, data, size)
WRAP(ssize_t, pwrite, PWRITE, (int fd, const void *data, size_t size, off_t at), fd, data, size, at)
WRAP(ssize_t, pwrite64, PWRITE, (int fd, const void *data, size_t size, off64_t at), fd, data, size, at)
WRAP(int, fsync, FSYNC, (int fd), fd)
WRAP(int, fdatasync, FDATASYNC, (int fd), fd)
WRAP(int, mkdir, MKDIR, (const char *path, mode_t mode), path, mode)
WRAP(int, mkdirat, MKDIR, (int at, const char *path, mode_t mode), at, path, mode)
WRAP(int, rename, RENAME, (const char *from, const char *to), from, to)
WRAP(pid_t, fork, FORK, (void), )
WRAP(int, accept4, ACCEPT, (int fd, struct sockaddr *who, socklen_t *size, int flags), fd, who, size, flags)
WRAP(ssize_t, sendmsg, SENDMSG, (int fd, const struct msghdr *message, int flags), fd, message, flags)
WRAP(ssize_t, recvmsg, RECVMSG, (int fd, struct msghdr *message, int flags), fd, message, flags)
WRAP(int, pipe2, PIPE, (int fds[2], int flags), fds, flags)
WRAP(int, socket, SOCKET, (int domain, int type, int protocol), domain, type, protocol)

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                char *const argv[], char *const env[]) {
  return fails(SPAWN) ? errno : NEXT(posix_spawn)(pid, path, actions, how, argv, env);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*start)(void *), void *argument) {
  return fails(THREAD) ? errno : NEXT(pthread_create)(thread, how, start, argument);
}
