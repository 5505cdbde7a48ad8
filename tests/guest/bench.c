// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tasks and beancounters cost, in nanoseconds of the guest, which under
 * scripts/vm --icount are instructions. A line "NAME MEDIAN SPREAD" for each,
 * the spread between the quartiles of the repeats, and all of them on standard
 * error.
 *
 * Built by tests/bench/numproc. Needs the uapi headers of the series.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/beancounter.h>

#include "must.h"

#define REPEATS 11
#define PIDFD_SELF_GROUP -10001
#define CG "/tmp/bench-cgroup"

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int set_bcid(unsigned int id)
{
	return syscall(474, id, PIDFD_SELF_GROUP, 0);
}

static int set_limit(unsigned int id, unsigned long long limit)
{
	struct bc_limit l = { limit, limit };

	return syscall(475, id, BC_NUMPROC, &l, sizeof(l), 0);
}

static int unpin(unsigned int id)
{
	return syscall(475, id, 0, NULL, 0, BC_LIMIT_UNPIN);
}

static void fork_exit_wait(void)
{
	pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		_exit(0);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("fork");
}

static void fork_refused(void)
{
	pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		_exit(0);
	if (pid > 0 || errno != EAGAIN)
		die("a fork that should be refused");
}

static unsigned int next_id = 1000;

/* A new id each time, so that no earlier one is revived. */
static void bc_cycle(void)
{
	unsigned int id = next_id++;

	if (set_limit(id, 100) || set_bcid(id) || set_bcid(0) || unpin(id))
		die("cycle of a beancounter");
}

static void memcg_cycle(void)
{
	if (mkdir(CG "/m", 0755))
		die("mkdir");
	put(CG "/m/memory.max", "1G");
	put(CG "/m/cgroup.procs", "0");
	put(CG "/cgroup.procs", "0");
	if (rmdir(CG "/m"))
		die("rmdir");
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void report(const char *name, double *run)
{
	int r;

	fprintf(stderr, "%s:", name);
	for (r = 0; r < REPEATS; r++)
		fprintf(stderr, " %.0f", run[r]);
	fprintf(stderr, "\n");
	qsort(run, REPEATS, sizeof(*run), compare);
	printf("%s %.0f %.0f\n", name, run[REPEATS / 2],
	       run[REPEATS * 3 / 4] - run[REPEATS / 4]);
	fflush(stdout);
}

static void measure(const char *name, int loops, void (*op)(void))
{
	double run[REPEATS];
	int r, n;

	for (n = 0; n < loops; n++)
		op();
	for (r = 0; r < REPEATS; r++) {
		double start = now();

		for (n = 0; n < loops; n++)
			op();
		run[r] = (now() - start) / loops;
	}
	report(name, run);
}

/*
 * The median of what each call takes by itself: without ticks, and without what
 * is done for many at once, which varies from boot to boot by more than the
 * small differences that this is for.
 */
static void measure_each(const char *name, int loops, void (*op)(void))
{
	double run[REPEATS], each[loops];
	int r, n;

	for (n = 0; n < loops; n++)
		op();
	for (r = 0; r < REPEATS; r++) {
		for (n = 0; n < loops; n++) {
			double start = now();

			op();
			each[n] = now() - start;
		}
		qsort(each, loops, sizeof(*each), compare);
		run[r] = each[loops / 2];
	}
	report(name, run);
}

/* What was begun before, by RCU or by the boot, is not to be counted. */
static void settle(int seconds)
{
	struct timespec ts = { .tv_sec = seconds };

	nanosleep(&ts, NULL);
}

int main(void)
{
	int has_bc = !syscall(473, PIDFD_SELF_GROUP, 0);

	/* Before anything is in use. */
	settle(60);
	measure("fork", 500, fork_exit_wait);
	measure_each("fork-each", 1000, fork_exit_wait);

	mkdir(CG, 0755);
	if (mount("none", CG, "cgroup2", 0, NULL))
		die("cgroup2");
	put(CG "/cgroup.subtree_control", "+pids +memory");
	if (mkdir(CG "/p", 0755))
		die("mkdir");
	put(CG "/p/pids.max", "100");
	put(CG "/p/cgroup.procs", "0");
	measure("fork-pids-max", 500, fork_exit_wait);
	put(CG "/p/pids.max", "1");
	measure("fork-refused-pids-max", 500, fork_refused);
	put(CG "/cgroup.procs", "0");
	if (rmdir(CG "/p"))
		die("rmdir");
	settle(1);
	measure("cycle-memcg", 200, memcg_cycle);
	settle(1);
	measure("fork-after-cgroups", 500, fork_exit_wait);
	if (!has_bc)
		return 0;

	if (set_limit(1, 100))
		die("set_bclimit");
	settle(1);
	measure("fork-host-beside-bc", 500, fork_exit_wait);
	if (set_bcid(1))
		die("set_bcid");
	measure("fork-limited-bc", 500, fork_exit_wait);
	if (set_limit(1, 1))
		die("set_bclimit");
	measure("fork-refused-bc", 500, fork_refused);
	if (set_bcid(0) || unpin(1))
		die("leave");
	settle(1);
	measure("cycle-bc", 200, bc_cycle);
	return 0;
}
