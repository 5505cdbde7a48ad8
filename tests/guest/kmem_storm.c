// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmem_storm SECONDS WORKERS: tasks that ask for kernel memory of all kinds,
 * are moved between beancounters and the host, and are refused by limits that
 * change. Meanwhile and at the end what is held is what is found in memory.
 *
 * Prints a line "ok NUMBER NAME" or "not ok NUMBER NAME" for each thing that is
 * shown. Needs kmem_load.ko, debugfs and the uapi headers of the series. Without
 * memory cgroups in the kernel nothing is said of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/beancounter.h>

#include "kmem/kmem_load.h"
#include "must.h"

#define IDS		3
#define FIRST_ID	7001
#define MAX_LIMIT	(4ULL << 20)
#define MAX_WORKERS	32
#define CGROUPS		"/sys/fs/cgroup/"
#define CGROUP		CGROUPS "kmem_storm/"
#define CHECK		"/sys/kernel/debug/beancounters/kmemsize"

struct shared {
	volatile int stop;
	struct {
		unsigned long asked, refused, failed;
	} worker[MAX_WORKERS];
};

static struct shared *shared;
static int tests;
static int memcg;	/* there are memory cgroups */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void result(int good, const char *name)
{
	printf("%s %d %s\n", good ? "ok" : "not ok", ++tests, name);
	fflush(stdout);
}

static int set_limit(unsigned int id, uint64_t barrier, uint64_t limit)
{
	struct bc_limit l = { barrier, limit };

	return syscall(475, id, BC_KMEMSIZE, &l, sizeof(l), 0);
}

static struct bc_stat stat_of(unsigned int id)
{
	struct bc_stat s;

	if (syscall(476, id, BC_KMEMSIZE, &s, sizeof(s), 0) < 0)
		die("get_bcstat");
	return s;
}

static void make_cgroup(void)
{
	FILE *f = fopen(CGROUPS "cgroup.controllers", "r");
	char line[256] = "";

	memcg = f && fgets(line, sizeof(line), f) && strstr(line, "memory");
	if (f)
		fclose(f);
	if (!memcg)
		return;
	put(CGROUPS "cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755) < 0)
		die(CGROUP);
}

static void enter_cgroup(void)
{
	if (memcg)
		put(CGROUP "cgroup.procs", "0");
}

/* Bytes of kernel memory that the memory cgroup has. */
static long long kernel_memory(void)
{
	long long bytes = -1;
	char line[256];
	FILE *f;

	if (!memcg)
		return 0;
	f = fopen(CGROUP "memory.stat", "r");
	if (!f)
		die(CGROUP "memory.stat");
	while (fgets(line, sizeof(line), f))
		sscanf(line, "kernel %lld", &bytes);
	fclose(f);
	return bytes;
}

static int open_load(void)
{
	int fd = open("/proc/kmem_load", O_WRONLY);

	if (fd < 0)
		die("/proc/kmem_load");
	return fd;
}

/* What RCU frees comes a little later. */
static int all_given_back(void)
{
	for (int i = 0; i < 100; i++) {
		int held = 0;

		for (int k = 0; k < IDS; k++)
			held += stat_of(FIRST_ID + k).held != 0;
		if (!held)
			return 1;
		usleep(200000);
	}
	return 0;
}

/* What is charged to whom: prints nothing, its exit status is a bit for each that is wrong. */
static int charged_to(void)
{
	const long long asked = 32LL * KMEM_LOAD_COUNT * 2000;
	struct kmem_load ask = { .count = KMEM_LOAD_COUNT, .size = 2000 };
	int bad = 0;

	enter_cgroup();
	if (syscall(474, FIRST_ID, -10001 /* this process */, 0) < 0)
		die("set_bcid");
	for (ask.kind = KMEM_LOAD_KMALLOC; ask.kind <= KMEM_LOAD_COMPOUND; ask.kind++) {
		for (ask.account = 0; ask.account < 2; ask.account++) {
			int fd = open_load();
			long long before = kernel_memory(), grown;
			uint64_t held;

			for (int i = 0; i < 32; i++) {
				if (write(fd, &ask, sizeof(ask)) != sizeof(ask))
					die("write");
			}
			held = stat_of(FIRST_ID).held;
			grown = kernel_memory() - before;
			printf("# kind %u: %lld bytes or more, beancounter %llu, memory cgroup%s %lld\n",
			       ask.kind, asked, (unsigned long long)held, ask.account ? "" : ", not asked for,", grown);
			if (held < (uint64_t)asked)
				bad |= 1;
			/* Memory cgroups count for a page or 64 at a time. */
			if (memcg && ask.account ? grown < asked * 9 / 10 : grown > asked / 10)
				bad |= 2;
			close(fd);
			if (!all_given_back())
				die("held");
		}
	}
	fflush(stdout);
	return bad;
}

static void work(int which)
{
	unsigned int seed = which * 7919 + 1;
	int fd = open_load();

	if (which % 2)
		enter_cgroup();
	while (!shared->stop) {
		struct kmem_load ask = {
			.kind = rand_r(&seed) % KMEM_LOAD_KINDS,
			.count = 1 + rand_r(&seed) % KMEM_LOAD_COUNT,
			.size = 1 << rand_r(&seed) % 15,
			.account = rand_r(&seed) % 2,
		};

		if (rand_r(&seed) % 3 == 0)
			ask.kind = KMEM_LOAD_FREE;
		shared->worker[which].asked++;
		if (write(fd, &ask, sizeof(ask)) == sizeof(ask))
			continue;
		if (errno == ENOMEM)
			shared->worker[which].refused++;
		else
			shared->worker[which].failed++;
	}
	/* At exit: given back by a task that may have been moved. */
	exit(0);
}

/* How many beancounters hold something else than what is found; -1: none was seen. */
static int differences(void)
{
	FILE *f = fopen(CHECK, "r");
	char line[256];
	int seen = 0, bad = 0;

	if (!f)
		die(CHECK);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long held, found;
		unsigned int id;

		if (sscanf(line, "%u %llu %llu", &id, &held, &found) != 3)
			continue;
		seen += id >= FIRST_ID && id < FIRST_ID + IDS;
		if (held != found) {
			printf("# %u: held %llu, found %llu\n", id, held, found);
			bad++;
		}
	}
	fclose(f);
	return seen == IDS ? bad : -1;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 20;
	int workers = argc > 2 ? atoi(argv[2]) : 6;
	unsigned long asked = 0, refused = 0, failed = 0, failcnt = 0, moves = 0, checks = 0;
	int pidfd[MAX_WORKERS], status, bad = 0, over = 0;
	long long left;
	pid_t pid;
	unsigned int seed = 1;
	time_t end;

	if (workers < 1 || workers > MAX_WORKERS)
		die("workers");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < IDS; i++) {
		if (set_limit(FIRST_ID + i, BC_MAXVALUE, BC_MAXVALUE) < 0)
			die("set_bclimit");
	}
	make_cgroup();

	pid = fork();
	if (!pid)
		exit(charged_to());
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		die("fork");
	result(!(WEXITSTATUS(status) & 1), "a beancounter is charged for what asks for it");
	if (memcg)
		result(!(WEXITSTATUS(status) & 2), "a memory cgroup is charged for what asks for that");
	if (!all_given_back())
		die("held");
	for (int i = 0; i < IDS; i++) {
		struct bc_stat s;

		if (set_limit(FIRST_ID + i, MAX_LIMIT, MAX_LIMIT) < 0 ||
		    syscall(476, FIRST_ID + i, BC_KMEMSIZE, &s, sizeof(s), BC_STAT_RESET) < 0)
			die("limits");
	}

	for (int w = 0; w < workers; w++) {
		pid = fork();
		if (!pid)
			work(w);
		if (pid < 0)
			die("fork");
		pidfd[w] = syscall(SYS_pidfd_open, pid, 0);
		if (pidfd[w] < 0)
			die("pidfd_open");
	}

	end = time(NULL) + seconds;
	while (time(NULL) < end) {
		for (int i = 0; i < 200; i++) {
			/* One in eight goes to the host. */
			unsigned int id = rand_r(&seed) % 8 ? FIRST_ID + rand_r(&seed) % IDS : BCID_HOST;

			if (syscall(474, id, pidfd[rand_r(&seed) % workers], 0) < 0)
				die("set_bcid");
			moves++;
			if (i % 20 == 0) {
				uint64_t limit = rand_r(&seed) % MAX_LIMIT;

				if (set_limit(FIRST_ID + rand_r(&seed) % IDS, limit / 2, limit) < 0)
					die("set_bclimit");
			}
			usleep(500);
		}
		bad += differences() != 0;
		checks++;
	}
	printf("# %lu moves, %lu checks\n", moves, checks);
	result(checks && !bad, "in mid-load what is held is what is found");

	shared->stop = 1;
	for (int w = 0; w < workers; w++) {
		if (wait(&status) < 0 || status)
			failed++;
	}
	for (int w = 0; w < workers; w++) {
		asked += shared->worker[w].asked;
		refused += shared->worker[w].refused;
		failed += shared->worker[w].failed;
	}
	printf("# %lu requests, %lu refused\n", asked, refused);
	result(refused > 100 && asked - refused > 1000 && !failed, "requests are granted and refused, with ENOMEM");

	result(all_given_back(), "at the end nothing is held");
	result(!differences(), "and nothing is found");
	left = kernel_memory();
	printf("# of the memory cgroup %lld bytes are left\n", left);
	/* Each CPU keeps up to 64 pages for the next charge, and some objects. */
	if (memcg)
		result(left >= 0 && left < MAX_LIMIT / 2, "the memory cgroup has it back, too");
	for (int k = 0; k < IDS; k++) {
		struct bc_stat s = stat_of(FIRST_ID + k);

		failcnt += s.failcnt;
		over += s.maxheld > MAX_LIMIT + s.forced || s.maxheld < MAX_LIMIT / 4 || s.forced;
	}
	printf("# failcnt %lu\n", failcnt);
	result(failcnt == refused, "failcnt is the number of refusals");
	result(!over, "at most the limit was held, and none was forced");
	printf("1..%d\n", tests);
	return 0;
}
