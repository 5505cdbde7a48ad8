// SPDX-License-Identifier: GPL-2.0-only
/*
 * charge_bench off|bc|memcg|all|privvm [OPERATION...]: what system calls cost, all of
 * them or those named, that take and give back memory, in nanoseconds of the guest,
 * which under scripts/vm --icount are instructions. Prints lines "STATE OPERATION
 * MEDIAN MIN MAX", in the order of the states:
 *
 *	off		neither beancounters nor memory cgroups were ever used
 *	beside-bc	on the host, there is a beancounter		(bc, all, privvm)
 *	in-bc		in a beancounter that has enough room		(bc, all, privvm)
 *	after-bc	on the host again				(bc, all, privvm)
 *	beside-memcg	in the root cgroup, memory cgroups are in use	(memcg, all)
 *	in-memcg	in a memory cgroup that has enough room		(memcg, all)
 *	after-memcg	in the root cgroup again			(memcg, all)
 *
 * and lines "held OPERATION AMOUNT": what is charged in the beancounter between
 * the two halves of an operation, bytes of kmemsize or, with privvm, pages of
 * privvmpages, for which each state has a program of its own: what it has mapped
 * is charged as what it maps. What is named with a "*" below is done only if it is
 * asked for.
 * Built by tests/bench/charge and privvm; needs the uapi headers of the series.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/beancounter.h>
#include <linux/random.h>

#include "must.h"

/* Some take 20 repeats until the lists of the allocators are as they stay. */
#define WARM_UPS		25
#define REPEATS			15
#define PIDFD_SELF_GROUP	-10001
#define ID			7300
#define PAGES			64
#define PAGE			4096
#define MAPPINGS		200
#define CGROUPS			"/sys/fs/cgroup/"
#define CGROUP			CGROUPS "charge_bench/"

static int fds[2];
static int lock_fd;
static char *mapping;
static char *mappings[MAPPINGS];
static pid_t child;
static unsigned int resource = BC_KMEMSIZE;
static char **args;		/* to execute this program anew */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void make_pipe(void)
{
	if (pipe(fds) < 0)
		die("pipe");
}

static void make_sockets(void)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		die("socketpair");
}

static void close_two(void)
{
	close(fds[0]);
	close(fds[1]);
}

static void make_file(void)
{
	fds[0] = open("/dev/null", O_RDONLY);
	if (fds[0] < 0)
		die("open");
}

static void make_epoll(void)
{
	fds[0] = epoll_create1(0);
	if (fds[0] < 0)
		die("epoll_create1");
}

static void close_one(void)
{
	close(fds[0]);
}

static void lock(void)
{
	if (flock(lock_fd, LOCK_EX) < 0)
		die("flock");
}

static void unlock(void)
{
	if (flock(lock_fd, LOCK_UN) < 0)
		die("flock");
}

static void map(void)
{
	mapping = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapping == MAP_FAILED)
		die("mmap");
}

static void touch(void)
{
	map();
	for (int i = 0; i < PAGES; i++)
		((volatile char *)mapping)[i * PAGE] = 1;
}

static void unmap(void)
{
	if (munmap(mapping, PAGES * PAGE) < 0)
		die("munmap");
}

/* Neighbours that differ: a vma each, written to as those of a program are. */
static void map_many(void)
{
	for (int i = 0; i < MAPPINGS; i++) {
		mappings[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | (i % 2 ? PROT_EXEC : 0),
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mappings[i] == MAP_FAILED)
			die("mmap");
		*(volatile char *)mappings[i] = 1;
	}
}

static void unmap_many(void)
{
	for (int i = 0; i < MAPPINGS; i++) {
		if (munmap(mappings[i], PAGE) < 0)
			die("munmap");
	}
}

static void grow_heap(void)
{
	if (sbrk(PAGES * PAGE) == (void *)-1)
		die("sbrk");
}

static void shrink_heap(void)
{
	if (sbrk(-PAGES * PAGE) == (void *)-1)
		die("sbrk");
}

static void make_child(void)
{
	child = fork();
	if (!child)
		_exit(0);
	if (child < 0)
		die("fork");
}

static void wait_child(void)
{
	if (waitpid(child, NULL, 0) != child)
		die("waitpid");
}

static struct op {
	const char *name;
	int loops;	/* so many take 20 to 80 ms; more where repeats differ */
	void (*take)(void);
	void (*give_back)(void);
	void (*prepare)(void);
	void (*undo)(void);
} ops[] = {
	{ "pipe", 5000, make_pipe, close_two, NULL, NULL },
	{ "open", 8000, make_file, close_one, NULL, NULL },
	{ "epoll", 10000, make_epoll, close_one, NULL, NULL },
	{ "socketpair", 9000, make_sockets, close_two, NULL, NULL },
	{ "flock", 12000, lock, unlock, NULL, NULL },
	{ "mmap", 9000, map, unmap, NULL, NULL },
	{ "touch", 60, touch, unmap, NULL, NULL },
	{ "fork", 150, make_child, wait_child, NULL, NULL },
	{ "*brk", 9000, grow_heap, shrink_heap, NULL, NULL },
	{ "*fork-vmas", 30, make_child, wait_child, map_many, unmap_many },
};

#define OPS (sizeof(ops) / sizeof(*ops))

static int left_out[OPS];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

/* What was begun before, by RCU or by the boot, is not to be counted. */
static void settle(int seconds)
{
	struct timespec ts = { .tv_sec = seconds };

	nanosleep(&ts, NULL);
}

/*
 * Until the kernel has gathered entropy, which takes a guest a million sockets, each
 * random number is dear, and each new slab of 19 takes some 16,000 instructions for
 * them.
 */
static void seed_random(void)
{
	struct {
		struct rand_pool_info info;
		char bytes[64];
	} seed = { .info = { .entropy_count = 512, .buf_size = 64 } };
	int fd = open("/dev/random", O_RDWR);

	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &seed) < 0)
		die("RNDADDENTROPY");
	close(fd);
}

static void measure(const char *state)
{
	settle(1);
	for (size_t i = 0; i < OPS; i++) {
		const struct op *op = &ops[i];
		double run[REPEATS];

		if (left_out[i])
			continue;
		if (op->prepare)
			op->prepare();
		for (int r = -WARM_UPS; r < REPEATS; r++) {
			double start = now();

			for (int n = 0; n < op->loops; n++) {
				op->take();
				op->give_back();
			}
			if (r >= 0)
				run[r] = (now() - start) / op->loops;
		}
		if (op->undo)
			op->undo();
		fprintf(stderr, "%s %s:", state, op->name);
		for (int r = 0; r < REPEATS; r++)
			fprintf(stderr, " %.0f", run[r]);
		fprintf(stderr, "\n");
		qsort(run, REPEATS, sizeof(*run), compare);
		printf("%s %s %.1f %.1f %.1f\n", state, op->name, run[REPEATS / 2],
		       run[0], run[REPEATS - 1]);
		fflush(stdout);
	}
}

static void set_limit(unsigned int of, unsigned long long limit)
{
	struct bc_limit l = { limit, limit };

	if (syscall(475, ID, of, &l, sizeof(l), 0) < 0)
		die("set_bclimit");
}

static void set_bcid(unsigned int id)
{
	if (syscall(474, id, PIDFD_SELF_GROUP, 0) < 0)
		die("set_bcid");
}

static long long held(void)
{
	struct bc_stat s;

	if (syscall(476, ID, resource, &s, sizeof(s), 0) < 0)
		die("get_bcstat");
	return s.held;
}

/* Of each operation that is measured, what is charged for it. */
static void show_held(void)
{
	for (size_t i = 0; i < OPS; i++) {
		long long before;

		if (left_out[i])
			continue;
		/* What RCU frees late would be taken off. */
		settle(10);
		if (ops[i].prepare)
			ops[i].prepare();
		before = held();
		ops[i].take();
		printf("held %s %lld\n", ops[i].name, held() - before);
		ops[i].give_back();
		if (ops[i].undo)
			ops[i].undo();
	}
}

static void measure_state(const char *state)
{
	int status;
	pid_t pid;

	if (resource == BC_KMEMSIZE) {
		measure(state);
		if (!strcmp(state, "in-bc"))
			show_held();
		return;
	}
	pid = fork();
	if (!pid) {
		args[1] = "state";
		args[2] = (char *)state;
		execv("/proc/self/exe", args);
		die("execv");
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die(state);
}

static void measure_bc(void)
{
	set_limit(resource, 512ULL << 20);
	set_limit(BC_NUMPROC, 1000);
	measure_state("beside-bc");
	set_bcid(ID);
	measure_state("in-bc");
	set_bcid(BCID_HOST);
	measure_state("after-bc");
}

static void measure_memcg(void)
{
	put(CGROUPS "cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755) < 0)
		die(CGROUP);
	put(CGROUP "memory.max", "4G");
	measure("beside-memcg");
	put(CGROUP "cgroup.procs", "0");
	measure("in-memcg");
	put(CGROUPS "cgroup.procs", "0");
	measure("after-memcg");
}

int main(int argc, char **argv)
{
	const char *what = argc >= 2 ? argv[1] : "";
	const int again = argc >= 3 && !strcmp(what, "state");
	const int first = again ? 3 : 2;

	if (again)
		what = "privvm";
	if (strcmp(what, "off") && strcmp(what, "memcg") && strcmp(what, "all") &&
	    strcmp(what, "bc") && strcmp(what, "privvm")) {
		fprintf(stderr, "charge_bench off|bc|memcg|all|privvm [OPERATION...]\n");
		return 2;
	}
	if (!strcmp(what, "privvm"))
		resource = BC_PRIVVMPAGES;
	for (size_t i = 0; i < OPS; i++) {
		left_out[i] = argc > first || ops[i].name[0] == '*';
		if (ops[i].name[0] == '*')
			ops[i].name++;
		for (int k = first; k < argc; k++)
			left_out[i] &= !!strcmp(argv[k], ops[i].name);
	}
	lock_fd = open("/tmp/charge_bench.lock", O_RDWR | O_CREAT, 0600);
	if (lock_fd < 0)
		die("/tmp/charge_bench.lock");
	if (again) {
		measure(argv[2]);
		if (!strcmp(argv[2], "in-bc"))
			show_held();
		return 0;
	}
	args = calloc(argc + 2, sizeof(*args));
	if (!args)
		die("calloc");
	args[0] = argv[0];
	for (int k = 2; k < argc; k++)
		args[k + 1] = argv[k];
	seed_random();
	settle(60);
	measure_state("off");
	if (!strcmp(what, "all") || !strcmp(what, "bc") || !strcmp(what, "privvm"))
		measure_bc();
	if (!strcmp(what, "all") || !strcmp(what, "memcg"))
		measure_memcg();
	return 0;
}
