// SPDX-License-Identifier: GPL-2.0-only
/*
 * privvm_fail [ROW...]: each allocation on the way of a system call that maps
 * private memory fails once, in a beancounter.
 *
 * A row of the table below is a call, made by a fresh process each time, with
 * the first, the second, ... allocation failing until none is left. If the call
 * fails, mappings and what is held are as they were before, unless the kernel
 * itself leaves it otherwise, as the row says; in any case what is held is what
 * is found in all mappings, and when the process is gone nothing is.
 *
 * Prints a line "ok NUMBER NAME" or "not ok NUMBER NAME" for each row, and for
 * the sums if no row was named. Needs failslab, fail_page_alloc and fail-nth,
 * debugfs, and the uapi headers of the series.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/beancounter.h>

#include "must.h"

#define ID	7052
#define OTHER	7053
#define DEBUGFS	"/sys/kernel/debug/"
#define CHECK	DEBUGFS "beancounters/privvmpages"
#define PAGE	4096UL
#define MOST	3000	/* allocations of one call */
#define MISSES	2	/* so many times no allocation was left to fail */
#define FAULTS	150	/* of all rows, at the least */
#define FAILED	100	/* calls that said so, at the least */

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
#define FIXED	(MREMAP_MAYMOVE | MREMAP_FIXED)

/* Nothing else is there. */
#define WINDOW	((char *)0x100000000000)
#define AT(n)	(WINDOW + (n) * PAGE)

static struct shared {
	unsigned int faults, failed;
	int hit;		/* an allocation was made to fail */
	int wrong;		/* something is not as it was */
	long err;		/* of the call, 0 if it succeeded */
	uint64_t before, after, other;
} *shared;

static unsigned int nth;
static int fail_fd = -1;
static const char *row_name = "";

static void die(const char *what)
{
	dprintf(STDOUT_FILENO, "# %s, allocation %u: %s: %s\n", row_name, nth, what,
		strerror(errno));
	_exit(1);
}

static uint64_t forced;	/* when held() was asked last */

static uint64_t held(unsigned int id)
{
	struct bc_stat s;

	if (syscall(476, id, BC_PRIVVMPAGES, &s, sizeof(s), 0) < 0)
		die("get_bcstat");
	forced = s.forced;
	return s.held;
}

static void enter(unsigned int id)
{
	if (syscall(474, id, -10001, 0) < 0)
		die("set_bcid");
}

static void limit(unsigned int id)
{
	struct bc_limit l = { 1UL << 20, 1UL << 20 };

	if (syscall(475, id, BC_PRIVVMPAGES, &l, sizeof(l), 0) < 0)
		die("set_bclimit");
}

/* What is found in all mappings less what is held, of one beancounter. */
static long long excess(unsigned int id)
{
	static char text[4096];
	int fd = open(CHECK, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	long long h, f;
	unsigned int i;

	if (n < 0)
		die(CHECK);
	text[n] = 0;
	close(fd);
	for (char *p = strchr(text, '\n'); p; p = strchr(p + 1, '\n'))
		if (sscanf(p, "%u %lld %lld", &i, &h, &f) == 3 && i == id)
			return f - h;
	return -1;
}

/* The mappings of the window, as the kernel tells them. */
static void maps(char *text, size_t size)
{
	static char buf[65536];
	size_t len = 0, out = 0;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY);

	while (len < sizeof(buf) - 1 && (n = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = 0;
	for (char *p = buf; *p; p = strchr(p, '\n') + 1) {
		unsigned long a = strtoul(p, NULL, 16);
		size_t l = strchr(p, '\n') + 1 - p;

		if (a >= (unsigned long)WINDOW && a < (unsigned long)AT(1024) && out + l < size) {
			memcpy(text + out, p, l);
			out += l;
		}
	}
	text[out] = 0;
}

static void arm(void)
{
	char text[16];

	if (!nth)
		return;
	snprintf(text, sizeof(text), "%u", nth);
	if (pwrite(fail_fd, text, strlen(text), 0) < 0)
		die("fail-nth");
}

static void disarm(void)
{
	char text[16] = "";

	if (!nth)
		return;
	if (pread(fail_fd, text, sizeof(text) - 1, 0) < 0 || pwrite(fail_fd, "0", 1, 0) < 0)
		die("fail-nth");
	/* Counted down to 0 when it has failed. */
	shared->hit = atoi(text) == 0;
}

/* A call: armed, made, and what it says. */
#define CALL(call) do {				\
	long _ret;				\
						\
	arm();					\
	errno = 0;				\
	_ret = (long)(call);			\
	shared->err = _ret == -1 ? errno : 0;	\
	disarm();				\
} while (0)

static void fill(int from, int pages)
{
	for (int n = from; n < from + pages; n++)
		*AT(n) = n;
}

static void map(int from, int pages, int prot)
{
	MUST(mmap(AT(from), pages * PAGE, prot, ANON, -1, 0));
}

/* Three mappings of 20 pages, each with something in it. */
static void three(void)
{
	for (int n = 0; n < 60; n += 20) {
		map(n, 20, RW | (n == 20 ? PROT_EXEC : 0));
		fill(n, 20);
	}
}

static void setup_none(void)
{
}

static void setup_foreign(void)
{
	enter(OTHER);
	three();
	enter(ID);
}

static void call_mmap(void)
{
	CALL(mmap(AT(0), 50 * PAGE, RW, ANON, -1, 0));
}

static void call_mmap_file(void)
{
	int fd = MUST(open("/proc/self/exe", O_RDONLY));

	CALL(mmap(AT(0), 4 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0));
}

static void call_mmap_over(void)
{
	CALL(mmap(AT(10), 40 * PAGE, RW, ANON, -1, 0));
}

static void call_mmap_zero(void)
{
	int fd = MUST(open("/dev/zero", O_RDWR));

	CALL(mmap(AT(5), 10 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0));
}

static void call_munmap(void)
{
	CALL(munmap(AT(5), 5 * PAGE));
}

static void call_munmap_many(void)
{
	CALL(munmap(AT(5), 50 * PAGE));
}

static void call_mremap_in_place(void)
{
	CALL(mremap(AT(40), 20 * PAGE, 200 * PAGE, 0));
}

static void call_mremap_move(void)
{
	CALL(mremap(AT(0), 20 * PAGE, 100 * PAGE, FIXED, AT(600)));
}

static void call_mremap_part(void)
{
	CALL(mremap(AT(5), 10 * PAGE, 100 * PAGE, FIXED, AT(600)));
}

static void call_mremap_over(void)
{
	CALL(mremap(AT(0), 10 * PAGE, 15 * PAGE, FIXED, AT(30)));
}

static void call_mremap_shrink(void)
{
	CALL(mremap(AT(0), 20 * PAGE, 5 * PAGE, FIXED, AT(600)));
}

static void call_mremap_beside(void)
{
	CALL(mremap(AT(40), 20 * PAGE, 20 * PAGE, FIXED, AT(60)));
}

static void call_mremap_dontunmap(void)
{
	CALL(mremap(AT(5), 10 * PAGE, 10 * PAGE, FIXED | MREMAP_DONTUNMAP, AT(600)));
}

static void call_mremap_many(void)
{
	CALL(mremap(AT(5), 50 * PAGE, 50 * PAGE, FIXED, AT(600)));
}

static void call_mremap_copy_many(void)
{
	CALL(mremap(AT(5), 50 * PAGE, 50 * PAGE, FIXED | MREMAP_DONTUNMAP, AT(600)));
}

static void setup_readable(void)
{
	map(0, 20, PROT_READ);
	MUST(mmap(AT(20), 20 * PAGE, PROT_READ, ANON | MAP_NORESERVE, -1, 0));
	map(40, 20, PROT_READ);
}

static void call_mprotect(void)
{
	CALL(mprotect(AT(5), 5 * PAGE, RW));
}

static void call_mprotect_many(void)
{
	CALL(mprotect(AT(5), 50 * PAGE, RW));
}

static void setup_unwritten(void)
{
	map(0, 60, RW);
}

static void call_mprotect_back(void)
{
	CALL(mprotect(AT(5), 5 * PAGE, PROT_READ));
}

static void call_madvise(void)
{
	CALL(madvise(AT(5), 5 * PAGE, MADV_DONTFORK));
}

static void call_brk(void)
{
	unsigned long end = syscall(SYS_brk, 0);

	arm();
	shared->err = syscall(SYS_brk, end + 100 * PAGE) == (long)end ? ENOMEM : 0;
	disarm();
}

static void call_fork(void)
{
	pid_t pid;

	arm();
	errno = 0;
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		_exit(0);
	shared->err = pid < 0 ? errno : 0;
	disarm();
	if (pid > 0)
		MUST(waitpid(pid, NULL, 0));
}

/* In a child: one that has lost its memory cannot tell. */
static void call_exec(void)
{
	static char *const argv[] = { "privvm_fail", "--end", NULL };
	char fds[16];
	char *const envp[] = { fds, NULL };
	pid_t pid = fork();
	int status;

	if (!pid) {
		/* It is that of the parent, so far. */
		fail_fd = MUST(open("/proc/thread-self/fail-nth", O_RDWR));
		snprintf(fds, sizeof(fds), "FD=%d", nth ? fail_fd : -1);
		shared->hit = 1;
		arm();
		execve("/proc/self/exe", argv, envp);
		shared->err = errno;
		disarm();
		_exit(1);
	}
	MUST(pid);
	MUST(waitpid(pid, &status, 0));
	if (!shared->err && status && !WIFSIGNALED(status) && WEXITSTATUS(status) != 3)
		shared->err = ENOEXEC;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
		shared->hit = 0;
}

static void call_stack(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		char *p = (char *)((uintptr_t)&pid & -PAGE);

		fail_fd = MUST(open("/proc/thread-self/fail-nth", O_RDWR));
		shared->hit = 1;
		arm();
		*(volatile char *)(p - 100 * PAGE) = 1;
		disarm();
		_exit(0);
	}
	MUST(pid);
	MUST(waitpid(pid, &status, 0));
	shared->err = status ? EFAULT : 0;
}

#define SAME	0	/* after a failure all is as it was */
#define PARTLY	1	/* mappings were split, or gone from where others came */
#define ALWAYS	2	/* it allocates nothing, and cannot fail */

static const struct row {
	const char *name;
	void (*setup)(void);
	void (*call)(void);
	int after;
} rows[] = {
	{ "mmap", setup_none, call_mmap, SAME },
	{ "mmap of a file", setup_none, call_mmap_file, SAME },
	{ "mmap of /dev/zero over a part", three, call_mmap_zero, PARTLY },
	{ "mmap over three", three, call_mmap_over, PARTLY },
	{ "mmap over another's", setup_foreign, call_mmap_over, PARTLY },
	{ "munmap", three, call_munmap, PARTLY },
	{ "munmap of three", three, call_munmap_many, PARTLY },
	{ "munmap of another's", setup_foreign, call_munmap_many, PARTLY },
	{ "mremap in place", three, call_mremap_in_place, ALWAYS },
	{ "mremap in place of another's", setup_foreign, call_mremap_in_place, ALWAYS },
	{ "mremap of all", three, call_mremap_move, SAME },
	{ "mremap of all of another's", setup_foreign, call_mremap_move, SAME },
	{ "mremap of a part", three, call_mremap_part, PARTLY },
	{ "mremap of a part of another's", setup_foreign, call_mremap_part, PARTLY },
	{ "mremap over others", three, call_mremap_over, PARTLY },
	{ "mremap over others of another", setup_foreign, call_mremap_over, PARTLY },
	{ "mremap to smaller", three, call_mremap_shrink, PARTLY },
	{ "mremap beside itself", three, call_mremap_beside, SAME },
	{ "mremap without unmapping", three, call_mremap_dontunmap, PARTLY },
	{ "mremap of another's without unmapping", setup_foreign, call_mremap_dontunmap, PARTLY },
	{ "mremap of three", three, call_mremap_many, PARTLY },
	{ "mremap of three without unmapping", three, call_mremap_copy_many, PARTLY },
	{ "mprotect to writable", setup_readable, call_mprotect, PARTLY },
	{ "mprotect of three to writable", setup_readable, call_mprotect_many, PARTLY },
	{ "mprotect to read-only", setup_unwritten, call_mprotect_back, PARTLY },
	{ "madvise", three, call_madvise, PARTLY },
	{ "brk", setup_none, call_brk, SAME },
	{ "fork", three, call_fork, SAME },
	{ "fork with another's", setup_foreign, call_fork, SAME },
	{ "execve", three, call_exec, SAME },
	{ "stack", three, call_stack, SAME },
};

/* In a fresh process on the host. */
static void once(const struct row *row)
{
	static char before[16384], after[16384];
	uint64_t other, forced_before;

	limit(ID);
	limit(OTHER);
	fail_fd = MUST(open("/proc/thread-self/fail-nth", O_RDWR));
	enter(ID);
	row->setup();
	/* What is written to has its pages. */
	maps(after, sizeof(after));
	maps(before, sizeof(before));
	other = held(OTHER);
	shared->before = held(ID);
	forced_before = forced;
	row->call();
	shared->other = held(OTHER);
	shared->after = held(ID);
	if (forced != forced_before && !shared->hit)
		die("forced without a fault");
	if (excess(ID) || excess(OTHER)) {
		printf("# %s, allocation %u: found %lld more than held, of another %lld\n", row->name,
		       nth, excess(ID), excess(OTHER));
		shared->wrong = 1;
	}
	if (shared->err && row->after == SAME) {
		maps(after, sizeof(after));
		if (strcmp(before, after) || shared->before != shared->after ||
		    other != shared->other) {
			printf("# %s, allocation %u: %s, held %llu, then %llu; another %llu, then %llu\n",
			       row->name, nth, strerror(shared->err),
			       (unsigned long long)shared->before, (unsigned long long)shared->after,
			       (unsigned long long)other, (unsigned long long)shared->other);
			printf("# before:\n%s# after:\n%s", before, after);
			shared->wrong = 1;
		}
	}
	fflush(stdout);
	_exit(0);
}

/* Each allocation fails once; whether all was well. */
static int run(const struct row *row)
{
	int misses = 0, good = 1;
	unsigned int faults = 0, failed = 0;

	row_name = row->name;
	/* Once without a fault: what the kernel keeps is there from then on. */
	for (nth = 0; nth < MOST && misses < MISSES && good; nth++) {
		int status;
		pid_t pid;

		shared->hit = shared->wrong = shared->err = 0;
		fflush(stdout);
		pid = MUST(fork());
		if (!pid)
			once(row);
		MUST(waitpid(pid, &status, 0));
		good = !status && !shared->wrong;
		if (!nth && shared->err) {
			printf("# %s: %s without a fault\n", row->name, strerror(shared->err));
			good = 0;
		}
		if (held(ID) || held(OTHER)) {
			printf("# %s, allocation %u: held at the end: %llu, %llu\n", row->name, nth,
			       (unsigned long long)held(ID), (unsigned long long)held(OTHER));
			good = 0;
		}
		if (!nth)
			continue;
		faults += shared->hit;
		failed += shared->err != 0;
		misses += !shared->hit;
	}
	printf("# figure: %s: %u faults, %u failures\n", row->name, faults, failed);
	shared->faults += faults;
	shared->failed += failed;
	return good && nth < MOST && (row->after == ALWAYS ? !faults : faults > 0);
}

int main(int argc, char **argv)
{
	int number = 0, failed = 0;

	if (argc == 2 && !strcmp(argv[1], "--end")) {
		const char *fd = getenv("FD");
		char text[16] = "0";

		/* It was executed: whether a fault was left. */
		if (fd && atoi(fd) >= 0) {
			if (pread(atoi(fd), text, sizeof(text) - 1, 0) < 0 ||
			    pwrite(atoi(fd), "0", 1, 0) < 0)
				return 1;
			return atoi(text) ? 3 : 0;
		}
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (access(CHECK, R_OK))
		mount("none", DEBUGFS, "debugfs", 0, NULL);
	shared = mmap(NULL, sizeof(*shared), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	limit(ID);
	limit(OTHER);
	put(DEBUGFS "failslab/ignore-gfp-wait", "N");
	put(DEBUGFS "failslab/verbose", "0");
	put(DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N");
	put(DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N");
	put(DEBUGFS "fail_page_alloc/min-order", "0");
	put(DEBUGFS "fail_page_alloc/verbose", "0");

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int wanted = argc == 1, good;

		for (int n = 1; n < argc; n++)
			wanted |= !strcmp(argv[n], rows[i].name);
		if (!wanted)
			continue;
		good = run(&rows[i]);
		printf("%s %d %s\n", good ? "ok" : "not ok", ++number, rows[i].name);
		failed |= !good;
	}
	if (argc == 1) {
		printf("# figure: all rows: %u faults, %u failures\n", shared->faults, shared->failed);
		printf("%s %d faults were met\n", shared->faults >= FAULTS ? "ok" : "not ok", ++number);
		printf("%s %d calls failed\n", shared->failed >= FAILED ? "ok" : "not ok", ++number);
		failed |= shared->faults < FAULTS || shared->failed < FAILED;
	}
	return failed;
}
