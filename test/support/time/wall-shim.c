/*
 * Preloaded into a process under test: its wall clock is the machine's plus so many milliseconds as a file says (8 bytes, native order), which
 * the test changes while the process runs. The monotonic clock is not touched, as when an administrator or NTP steps a machine's clock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset_ms;

__attribute__((constructor)) static void open_offset(void) {
  const char *path = getenv("POSTRIDER_TEST_WALL");
  int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void *page = mmap(NULL, sizeof *offset_ms, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (page != MAP_FAILED) offset_ms = page;
}

static void wall(struct timespec *at) {
  syscall(SYS_clock_gettime, CLOCK_REALTIME, at);
  if (offset_ms == NULL) return;
  int64_t ns = at->tv_nsec + (*offset_ms % 1000) * 1000000;
  int64_t carry = ns < 0 ? -1 : ns >= 1000000000 ? 1 : 0;
  at->tv_sec += *offset_ms / 1000 + carry;
  at->tv_nsec = ns - carry * 1000000000;
}

int clock_gettime(clockid_t id, struct timespec *at) {
  if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE) return (int)syscall(SYS_clock_gettime, id, at);
  wall(at);
  return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec now;
  (void)zone;
  wall(&now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  wall(&now);
  if (at != NULL) *at = now.tv_sec;
  return now.tv_sec;
}
