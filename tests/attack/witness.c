/* A step that says for itself when it lives. It appends whole lines to LOG (O_APPEND, one write each):
 *
 *   KIND  MONOTONIC_NS  PID  PARENT  TICKS  RUN  NODE  ATTEMPT  EPOCH  TAG
 *
 * KIND: B the step begins, b a process that it left behind begins, T it lives, X it was asked to end, E it ends.
 *
 *   witness LOG TAG LIFE_MS CODE [ESCAPE_MS DISGUISE,DISGUISE...]
 *
 * With disguises the step leaves a process behind that lives for ESCAPE_MS and hides as they say. "as" is how that process calls
 * this program again with an empty environment. Nothing here ends or signals anything but what it forked itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 20
static int book;
static const char *log_path, *tag, *run, *node, *attempt, *epoch;
static char **words;
static int word_count;

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long own_ticks(void) {
  char text[1024];
  int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (got <= 0) return 0;
  text[got] = 0;
  char *at = strrchr(text, ')');
  for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
  return at ? atoll(at + 1) : 0;
}

static void say(const char *kind) {
  char line[1500];
  int n = snprintf(line, sizeof line, "%s\t%lld\t%d\t%d\t%lld\t%s\t%s\t%s\t%s\t%s\n", kind, now_ns(), getpid(), getppid(),
                   own_ticks(), run, node, attempt, epoch, tag);
  if (n > 0 && n < (int)sizeof line && write(book, line, n) == n) return;
  if (strcmp(kind, "T")) _exit(96); /* a step that cannot bear witness must not seem to have run well */
}

static void on_term(int number) {
  (void)number;
  say("X");
  _exit(143);
}

static void live(long long ms) {
  long long end = now_ns() + ms * 1000000LL;
  while (now_ns() < end) {
    long long left = end - now_ns();
    struct timespec nap = {0, left < TICK_MS * 1000000LL ? (left > 0 ? left : 1) : TICK_MS * 1000000LL};
    nanosleep(&nap, NULL);
    say("T");
  }
  say("E");
}

static void start_over(pid_t forked) { /* the parent of a fork leaves at once: the child is nobody's child */
  if (forked) _exit(0);
}

static void hide_name(void) {
  prctl(PR_SET_NAME, "kworker/0:1H");
  log_path = strdup(log_path), tag = strdup(tag), run = strdup(run), node = strdup(node), attempt = strdup(attempt);
  epoch = strdup(epoch);
  for (int i = 0; i < word_count; i++) memset(words[i], 0, strlen(words[i]));
}

static void lower_score(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, "0", 1) != 1) say("T");
  close(fd);
}

static void close_others(void) {
  for (int fd = 0; fd < 1024; fd++)
    if (fd != book) close(fd);
}

static int be_traced(long long ms) { /* a child stands still under a tracer for half of its time, then goes on */
  pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    say("b");
    raise(SIGSTOP);
    return 1;
  }
  waitpid(child, NULL, 0);
  struct timespec half = {ms / 2000, (ms / 2 % 1000) * 1000000L};
  nanosleep(&half, NULL);
  ptrace(PTRACE_DETACH, child, 0, 0);
  _exit(0);
}

static void escape(long long ms, char *disguises) {
  char all[200];
  snprintf(all, sizeof all, "%s", disguises);
  if (strstr(all, "setsid") || strstr(all, "nohup")) setsid();
  if (strstr(all, "twice")) start_over(fork());
  if (strstr(all, "nohup")) signal(SIGHUP, SIG_IGN), signal(SIGTERM, SIG_IGN), signal(SIGINT, SIG_IGN);
  if (strstr(all, "score")) lower_score();
  if (strstr(all, "subreaper")) {
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (fork() == 0) start_over(fork());
  }
  if (strstr(all, "name")) hide_name();
  if (strstr(all, "descriptors")) close_others();
  if (strstr(all, "uid") && setresuid(65534, 65534, 65534)) _exit(95);
  if (!(strstr(all, "traced") && be_traced(ms))) say("b");
  if (strstr(all, "stopped")) raise(SIGSTOP);
  live(ms);
  _exit(0);
}

static const char *get(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : "-";
}

int main(int count, char **args) {
  if (count < 5) return 99;
  words = args + 1, word_count = count - 1;
  log_path = args[1], tag = args[2];
  book = open(log_path, O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (book < 0) return 98;
  if (!strcmp(args[3], "as")) { /* LOG TAG as ESCAPE_MS DISGUISES RUN NODE ATTEMPT EPOCH */
    run = args[6], node = args[7], attempt = args[8], epoch = args[9];
    escape(atoll(args[4]), args[5]);
  }
  run = get("LINECLEAR_RUN"), node = get("LINECLEAR_NODE"), attempt = get("LINECLEAR_ATTEMPT"), epoch = get("LINECLEAR_EPOCH");
  signal(SIGTERM, on_term);
  say("B");
  if (count > 6 && fork() == 0) {
    signal(SIGTERM, SIG_DFL);
    if (strstr(args[6], "environment")) {
      char *nothing[] = {NULL};
      execle("/proc/self/exe", args[0], log_path, tag, "as", args[5], args[6], run, node, attempt, epoch, NULL, nothing);
      _exit(97);
    }
    escape(atoll(args[5]), args[6]);
  }
  live(atoll(args[3]));
  return atoi(args[4]);
}
