// SPDX-License-Identifier: GPL-2.0-only
/*
 * privvm_refusals [ATTEMPTS [FORKS]]: asks for more private memory than there is
 * room for, so many times with each of mmap(), brk(), mremap() and mprotect(), and
 * with fork(). Each is refused with an errno, counted once, and changes nothing.
 *
 * Prints a line "ok NUMBER NAME" or "not ok NUMBER NAME" for each thing that is
 * shown, and lines "# figure: ...". Needs the uapi headers of the series.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/beancounter.h>

#define ID			7720
#define PIDFD_SELF_GROUP	-10001
#define PAGE			4096UL
#define ROOM			16UL		/* pages; what is asked for is more */
#define MORE			64UL

static int tests;
static char *mapping;		/* one page that may be written */
static char *readable;		/* MORE pages that may be read */
static uintptr_t end;		/* of the heap */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void result(int good, const char *name, const char *what)
{
	printf("%s %d %s: %s\n", good ? "ok" : "not ok", ++tests, name, what);
	fflush(stdout);
}

static struct bc_stat stat_now(void)
{
	struct bc_stat s;

	if (syscall(476, ID, BC_PRIVVMPAGES, &s, sizeof(s), 0) < 0)
		die("get_bcstat");
	return s;
}

static void set_limit(uint64_t pages)
{
	struct bc_limit l = { pages, pages };

	if (syscall(475, ID, BC_PRIVVMPAGES, &l, sizeof(l), 0) < 0)
		die("set_bclimit");
}

/* What the kernel has killed for want of memory, and how much is mapped. */
static long number_of(const char *file, const char *name)
{
	char line[256];
	long value = -1;
	FILE *f = fopen(file, "r");

	if (!f)
		die(file);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, strlen(name)))
			value = atol(line + strlen(name));
	}
	fclose(f);
	if (value < 0)
		die(name);
	return value;
}

/* Each returns the errno, or 0 if it was granted. */
static int want_mmap(void)
{
	return mmap(NULL, MORE * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

/* brk(2) says no by the end that the heap has. */
static int want_brk(void)
{
	uintptr_t now = syscall(SYS_brk, end + MORE * PAGE);

	return now == end ? ENOMEM : 0;
}

static int want_mremap(void)
{
	return mremap(mapping, PAGE, MORE * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? errno : 0;
}

static int want_mprotect(void)
{
	return mprotect(readable, MORE * PAGE, PROT_READ | PROT_WRITE) < 0 ? errno : 0;
}

static int want_fork(void)
{
	pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		_exit(0);
	if (pid < 0)
		return errno;
	waitpid(pid, NULL, 0);
	return 0;
}

static void attempts(const char *name, int (*want)(void), long n)
{
	struct bc_stat before = stat_now(), after;
	long kills = number_of("/proc/vmstat", "oom_kill ");
	long size = number_of("/proc/self/status", "VmSize:");
	long refused = 0, counted;
	struct timespec start, stop;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (long i = 0; i < n; i++)
		refused += want() == ENOMEM;
	clock_gettime(CLOCK_MONOTONIC, &stop);
	after = stat_now();
	counted = after.failcnt - before.failcnt;
	printf("# figure: %s: %ld attempts, %ld refused with ENOMEM, failcnt +%ld, %.1f s\n",
	       name, n, refused, counted, (double)(stop.tv_sec - start.tv_sec) +
	       (double)(stop.tv_nsec - start.tv_nsec) / 1e9);
	result(refused == n, name, "each attempt is refused with ENOMEM");
	result(counted == n, name, "each is counted, once");
	result(after.held == before.held && after.forced == before.forced &&
	       number_of("/proc/self/status", "VmSize:") == size,
	       name, "nothing is held for them, and nothing is mapped");
	result(number_of("/proc/vmstat", "oom_kill ") == kills, name,
	       "nobody is killed for want of memory");
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? atol(argv[1]) : 1000000;
	long forks = argc > 2 ? atol(argv[2]) : 2000;

	/* Buffers come from before there is a limit. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	number_of("/proc/vmstat", "oom_kill ");
	set_limit(BC_MAXVALUE);
	if (syscall(474, ID, PIDFD_SELF_GROUP, 0) < 0)
		die("set_bcid");
	readable = mmap(NULL, MORE * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mapping = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (readable == MAP_FAILED || mapping == MAP_FAILED)
		die("mmap");
	/* A heap of its own, so that the C library asks for no more later. */
	end = syscall(SYS_brk, syscall(SYS_brk, 0) + 256 * PAGE);
	free(malloc(64 * PAGE));
	set_limit(stat_now().held + ROOM);

	attempts("mmap", want_mmap, n);
	attempts("brk", want_brk, n);
	attempts("mremap", want_mremap, n);
	attempts("mprotect", want_mprotect, n);
	attempts("fork", want_fork, forks);

	/* What is asked for was too much, and not everything. */
	set_limit(stat_now().held + MORE);
	result(!want_mprotect(), "mprotect", "with room it is granted");
	printf("1..%d\n", tests);
	return 0;
}
