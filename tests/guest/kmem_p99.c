// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmem_p99: what the host notices of bombs in a beancounter. On CPU 1 bombs of
 * several kinds fill a beancounter that has little room, and are refused all the
 * time; on CPU 0 the host does the same small work over and over. The 99th
 * percentile of how long that takes must at most double by the bombs. Rounds
 * with the bombs stopped and with the bombs running alternate. What a loop on
 * CPU 1 does that asks the kernel for nothing is printed with them: two CPUs of
 * the machine may share what makes them fast.
 *
 * Prints a line "ok NUMBER NAME" or "not ok NUMBER NAME" for each thing that is
 * shown, and lines "# figure: ...". Needs two CPUs, each a thread of its own,
 * and the uapi headers of the series.
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
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/beancounter.h>

#define ID			7400
#define PIDFD_SELF_GROUP	-10001
#define ROOM			(512 << 10)	/* bytes for all bombs */
#define BEYOND			(32 << 10)	/* from the barrier to the limit */
#define ROUNDS			9
#define SAMPLES			20000
#define KEEP			4096		/* what a bomb keeps at most */
#define IN_A_ROW		1000		/* refusals, then it makes some room */
#define SOME			16
#define STRIDE			(2UL << 20)	/* a page table each */
#define SPARSE			(8UL << 30)

enum kind { PIPES, FILES, FORKS, EPOLLS, LOCKS, MAPPINGS, TOUCHES, KINDS };

static const char * const names[KINDS] = {
	"pipe", "open", "fork", "epoll", "flock", "mmap", "touch",
};

struct counts {
	unsigned long granted[KINDS], refused[KINDS], odd[KINDS];
};

static volatile struct counts *shared;
static int tests;
static int kept[KEEP][2];
static char *mapped[KEEP];
static int64_t sample[SAMPLES];

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

static void wait_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) < 0)
		;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("sched_setaffinity");
}

static void enter(void)
{
	if (syscall(474, ID, PIDFD_SELF_GROUP, 0) < 0)
		die("set_bcid");
}

static struct bc_stat stat_now(void)
{
	struct bc_stat s;

	if (syscall(476, ID, BC_KMEMSIZE, &s, sizeof(s), 0) < 0)
		die("get_bcstat");
	return s;
}

static void set_limit(uint64_t barrier, uint64_t limit)
{
	struct bc_limit l = { barrier, limit };

	if (syscall(475, ID, BC_KMEMSIZE, &l, sizeof(l), 0) < 0)
		die("set_bclimit");
}

/* 0, or the errno of the call. */
static int take(enum kind kind, int which)
{
	pid_t pid;

	switch (kind) {
	case PIPES:
		return pipe(kept[which]) < 0 ? errno : 0;
	case FILES:
		kept[which][0] = open("/dev/null", O_RDONLY);
		return kept[which][0] < 0 ? errno : 0;
	case FORKS:
		pid = fork();
		if (!pid) {
			for (;;)
				pause();
		}
		kept[which][0] = pid;
		return pid < 0 ? errno : 0;
	case EPOLLS:
		kept[which][0] = epoll_create1(0);
		return kept[which][0] < 0 ? errno : 0;
	case LOCKS:
		return flock(kept[which][0], LOCK_SH | LOCK_NB) < 0 ? errno : 0;
	default:
		/* Neighbours of another protection: a mapping each. */
		mapped[which] = mmap(NULL, 4096, which % 2 ? PROT_READ : PROT_NONE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return mapped[which] == MAP_FAILED ? errno : 0;
	}
}

/* Whether it could be given back: to unmap may take memory. */
static int give_back(enum kind kind, int which)
{
	switch (kind) {
	case PIPES:
		close(kept[which][1]);
		/* fall through */
	case FILES:
	case EPOLLS:
		close(kept[which][0]);
		return 1;
	case FORKS:
		kill(kept[which][0], SIGKILL);
		while (waitpid(kept[which][0], NULL, 0) < 0 && errno == EINTR)
			;
		return 1;
	case LOCKS:
		return flock(kept[which][0], LOCK_UN) == 0;
	default:
		return munmap(mapped[which], 4096) == 0;
	}
}

static int is_refusal(int error)
{
	return error == ENOMEM || error == EAGAIN || error == ENOLCK || error == ENFILE;
}

/* Takes until it is refused, asks again and again, and makes some room now and then. */
static void bomb(enum kind kind)
{
	struct rlimit files = { KEEP * 2 + 64, KEEP * 2 + 64 };
	int have = 0, row = 0;

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		die("setrlimit");
	/* Files to lock are the host's: only the locks are asked for in there. */
	for (int i = 0; kind == LOCKS && i < KEEP; i++) {
		kept[i][0] = open("/tmp/kmem_p99.lock", O_RDWR | O_CREAT, 0600);
		if (kept[i][0] < 0)
			die("/tmp/kmem_p99.lock");
	}
	enter();
	/* A fault in here needs no page table: that would be the end of the bomb. */
	if (mlockall(MCL_CURRENT) < 0)
		die("mlockall");
	raise(SIGSTOP);

	for (;;) {
		if (have < KEEP) {
			int error = take(kind, have);

			if (!error) {
				have++;
				row = 0;
				shared->granted[kind]++;
				continue;
			}
			if (is_refusal(error))
				shared->refused[kind]++;
			else
				shared->odd[kind]++;
			if (++row < IN_A_ROW)
				continue;
		}
		row = 0;
		for (int i = 0; i < SOME && have; i++, have--) {
			if (!give_back(kind, have - 1))
				break;
		}
	}
}

/*
 * Page faults that are refused end the process: a parent on the host starts the
 * next one.
 */
static void touch_bomb(void)
{
	raise(SIGSTOP);
	for (;;) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			volatile char *p;

			enter();
			p = mmap(NULL, SPARSE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			if (p == MAP_FAILED)
				_exit(is_refusal(errno) ? 3 : 2);
			for (unsigned long at = 0; at < SPARSE; at += STRIDE)
				p[at] = 1;
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			die("touch");
		if ((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == 3))
			shared->refused[TOUCHES]++;
		else
			shared->odd[TOUCHES]++;
		wait_ms(10);
	}
}

/* Keeps CPU 1 busy. */
static void spin(void)
{
	raise(SIGSTOP);
	for (volatile unsigned long i = 0;; i++)
		;
}

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void work(void)
{
	int fd[2];

	if (pipe(fd) < 0)
		die("pipe");
	close(fd[0]);
	close(fd[1]);
	fd[0] = open("/dev/null", O_RDONLY);
	if (fd[0] < 0)
		die("open");
	close(fd[0]);
	syscall(SYS_getppid);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The 99th percentile. */
static int64_t measure(const char *what, int round)
{
	for (int i = 0; i < SAMPLES; i++) {
		int64_t start = now();

		work();
		sample[i] = now() - start;
	}
	qsort(sample, SAMPLES, sizeof(*sample), compare);
	printf("# figure: round %d, %s: median %lld ns, p99 %lld, p99.9 %lld, most %lld\n", round, what,
	       (long long)sample[SAMPLES / 2], (long long)sample[SAMPLES * 99 / 100],
	       (long long)sample[SAMPLES / 1000 * 999], (long long)sample[SAMPLES - 1]);
	fflush(stdout);
	return sample[SAMPLES * 99 / 100];
}

static int all_given_back(void)
{
	for (int i = 0; i < 600; i++) {
		if (!stat_now().held)
			return 1;
		wait_ms(100);
	}
	return 0;
}

int main(void)
{
	int64_t idle[ROUNDS + 1], busy[ROUNDS], beside[ROUNDS], without, with;
	unsigned long granted = 0, refused = 0, odd = 0;
	int alive = 0, always = 1;
	pid_t pid[KINDS + 1];	/* the last one spins */
	uint64_t held, failcnt;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	/* What the bombs leave behind is waited for here. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		die("prctl");
	set_limit(BC_MAXVALUE, BC_MAXVALUE);
	stay_on(1);
	for (int k = 0; k <= KINDS; k++) {
		pid[k] = fork();
		if (!pid[k]) {
			if (k == KINDS)
				spin();
			if (k == TOUCHES)
				touch_bomb();
			bomb(k);
		}
		if (pid[k] < 0 || setpgid(pid[k], k == KINDS ? 0 : pid[0]) < 0)
			die("fork");
	}
	stay_on(0);
	for (int k = 0; k <= KINDS; k++) {
		int status;

		if (waitpid(pid[k], &status, WUNTRACED) != pid[k] || !WIFSTOPPED(status)) {
			fprintf(stderr, "%s: did not start\n", k == KINDS ? "loop" : names[k]);
			return 1;
		}
	}
	held = stat_now().held;
	set_limit(held + ROOM, held + ROOM + BEYOND);
	printf("# figure: the bombs hold %llu bytes when they start, and have room for %d\n",
	       (unsigned long long)held, ROOM);

	/* The first one warms up. */
	measure("warming up", 0);
	for (int r = 0; r < ROUNDS; r++) {
		struct counts start;

		idle[r] = measure("idle", r);
		if (kill(pid[KINDS], SIGCONT) < 0)
			die("kill");
		wait_ms(200);
		busy[r] = measure("beside a loop", r);
		if (kill(pid[KINDS], SIGSTOP) < 0)
			die("kill");
		wait_ms(200);
		failcnt = stat_now().failcnt;
		if (kill(-pid[0], SIGCONT) < 0)
			die("kill");
		wait_ms(1000);
		start = *(struct counts *)shared;
		beside[r] = measure("beside the bombs", r);
		if (kill(-pid[0], SIGSTOP) < 0)
			die("kill");
		printf("# figure: round %d, refused:", r);
		for (int k = 0; k < KINDS; k++) {
			unsigned long n = shared->refused[k] - start.refused[k];

			printf(" %s %lu", names[k], n);
			always &= n > 0;
			granted += shared->granted[k] - start.granted[k];
			refused += n;
		}
		printf("; failcnt +%llu\n", (unsigned long long)(stat_now().failcnt - failcnt));
		always &= stat_now().failcnt > failcnt;
		wait_ms(500);
	}
	idle[ROUNDS] = measure("idle", ROUNDS);

	for (int k = 0; k < KINDS; k++) {
		alive += waitpid(pid[k], NULL, WNOHANG) == 0;
		odd += shared->odd[k];
		if (shared->odd[k])
			printf("# %s: %lu times neither granted nor refused\n", names[k], shared->odd[k]);
	}
	printf("# figure: beside that %lu requests of the bombs were granted, %lu refused\n",
	       granted, refused);
	result(always && refused > 10 * granted,
	       "bombs of each kind are refused in each round, and rarely granted");
	result(alive == KINDS && !odd, "they live on, and see no other error");

	qsort(idle, ROUNDS + 1, sizeof(*idle), compare);
	qsort(busy, ROUNDS, sizeof(*busy), compare);
	qsort(beside, ROUNDS, sizeof(*beside), compare);
	/* Of the two in the middle the smaller one: the bar is no higher. */
	without = idle[ROUNDS / 2];
	with = beside[ROUNDS / 2];
	printf("# figure: p99 of the host, median of rounds: idle %lld ns, beside a loop %lld, with the bombs %lld: %.2f times\n",
	       (long long)without, (long long)busy[ROUNDS / 2], (long long)with,
	       (double)with / without);
	result(with <= 2 * without, "p99 of the host beside the bombs is at most twice that without them");

	kill(-pid[0], SIGKILL);
	kill(pid[KINDS], SIGKILL);
	while (wait(NULL) > 0)
		;
	result(all_given_back(), "at the end nothing is held");
	printf("1..%d\n", tests);
	return 0;
}
