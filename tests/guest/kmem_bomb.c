// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bombs: each kind piles up kernel objects of one sort until the kernel refuses,
 * and holds them. Part of kmem_coverage and kmem_cases.
 *
 * A bomb is the init of its own namespaces: who kills it kills all it started.
 * When it is refused there is no room left, not even for the page of a pipe or
 * a page table: it answers by an eventfd and memory that is there already.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/limits.h>
#include <mqueue.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kmem_bomb.h"
#include "visit_cpus.h"

#define CHECK		"/sys/kernel/debug/beancounters/kmemsize"
#define KEY_SPEC_PROCESS_KEYRING	(-2)

/* Of linux/pidfd.h, which may be older than these. */
#ifndef PIDFD_GET_NET_NAMESPACE
#define PIDFD_GET_NET_NAMESPACE		_IO(0xff, 4)
#define PIDFD_GET_USER_NAMESPACE	_IO(0xff, 9)
#define PIDFD_GET_UTS_NAMESPACE		_IO(0xff, 10)
#endif

static long bomb_limit;
static int tests;

void die(const char *what)
{
	perror(what);
	exit(1);
}

void result(int good, const char *format, ...)
{
	va_list args;

	printf("%s %d ", good ? "ok" : "not ok", ++tests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

int results(void)
{
	return tests;
}

void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

void hold(void)
{
	for (;;)
		syscall(SYS_pause);
}

void signal_event(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		_exit(99);
}

int wait_event(int fd, int seconds)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t value;

	return poll(&p, 1, seconds * 1000) == 1 && read(fd, &value, sizeof(value)) == sizeof(value);
}

int set_limit(unsigned int id, uint64_t barrier, uint64_t limit)
{
	struct bc_limit l = { barrier, limit };

	return syscall(475, id, BC_KMEMSIZE, &l, sizeof(l), 0);
}

void must_limit(unsigned int id, uint64_t barrier, uint64_t limit)
{
	if (set_limit(id, barrier, limit) < 0)
		die("set_bclimit");
}

struct bc_stat stat_of(unsigned int id)
{
	struct bc_stat s;

	if (syscall(476, id, BC_KMEMSIZE, &s, sizeof(s), 0) < 0)
		die("get_bcstat");
	return s;
}

void enter_bc(unsigned int id)
{
	if (syscall(474, id, -10001 /* this process */, 0) < 0)
		die("set_bcid");
}

int balanced(unsigned int id)
{
	FILE *f = fopen(CHECK, "r");
	int seen = 0, bad = 0;
	char line[256];

	if (!f)
		die(CHECK);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long held, found;
		unsigned int which;

		if (sscanf(line, "%u %llu %llu", &which, &held, &found) != 3)
			continue;
		seen += which == id;
		if (held != found) {
			printf("# beancounter %u: held %llu, found %llu\n", which, held, found);
			bad++;
		}
	}
	fclose(f);
	if (!seen)
		printf("# beancounter %u is not in " CHECK "\n", id);
	return seen && !bad;
}

int given_back(unsigned int id)
{
	uint64_t held = 0;

	for (int i = 0; i < 300; i++) {
		held = stat_of(id).held;
		if (!held)
			return 1;
		usleep(200000);
		if (i % 5 == 0)
			visit_cpus();
	}
	printf("# beancounter %u: %llu bytes are held after a minute\n", id,
	       (unsigned long long)held);
	return 0;
}

/* How many objects are more than there can be room for, if each is charged. */
static long plenty(long bytes)
{
	return 2 * bomb_limit / bytes + 16;
}

/*
 * A larger table of descriptors before the rest, so that the refusal is one of
 * the object itself.
 */
static int room_for_fds(void)
{
	const int last = bomb_limit / 200;

	if (dup2(0, last) < 0)
		return -1;
	return close(last);
}

/* Until a child is blocked or dead: it takes no time any more. */
static void wait_asleep(pid_t pid)
{
	long long spent = -1, before;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock))
		return;
	do {
		struct timespec t;

		before = spent;
		usleep(10000);
		if (clock_gettime(clock, &t) < 0)
			return;
		spent = t.tv_sec * 1000000000LL + t.tv_nsec;
	} while (spent != before);
}

/*
 * Children that pile up a part each, one after the other, until work() fails in
 * one, or there is no room for another. With blocks, a child that is not refused
 * is blocked in work(), which it says before.
 */
static int crowd(int (*work)(void), int blocks)
{
	const struct timespec now = { 0, 0 };
	sigset_t set;

	/* Signals: they need no memory. */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return errno;

	for (long left = plenty(64 * KIB); left; left--) {
		pid_t pid = fork();
		int sig, status;

		if (pid < 0)
			return errno;
		if (!pid) {
			if (blocks)
				kill(getppid(), SIGUSR1);
			if (work() < 0)
				_exit(errno);
			if (!blocks)
				kill(getppid(), SIGUSR1);
			hold();
		}

		sig = sigwaitinfo(&set, NULL);
		if (sig == SIGUSR1 && blocks)
			wait_asleep(pid);
		if (sig == SIGUSR1)
			sig = sigtimedwait(&set, NULL, &now);
		if (sig == SIGCHLD) {
			if (waitpid(-1, &status, 0) < 0)
				return errno;
			return WIFSIGNALED(status) ? BY_KILL : WEXITSTATUS(status);
		}
	}
	return 0;
}

static int bomb_fork(void)
{
	for (long left = plenty(16 * KIB); left; left--) {
		pid_t pid = fork();

		if (pid < 0)
			return errno;
		if (!pid)
			hold();
	}
	return 0;
}

static int thread_main(void *unused)
{
	(void)unused;
	hold();
}

static int bomb_thread(void)
{
	const long size = 1024, n = plenty(16 * KIB);
	char *stacks = mmap(NULL, n * size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (stacks == MAP_FAILED)
		return errno;
	for (long i = 1; i <= n; i++) {
		if (clone(thread_main, stacks + i * size, CLONE_VM | CLONE_FS | CLONE_FILES |
			  CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL) < 0)
			return errno;
	}
	return 0;
}

static int bomb_pipe(void)
{
	int fd[2];

	if (room_for_fds() < 0)
		return errno;
	for (long left = plenty(KIB); left; left--) {
		if (pipe(fd) < 0)
			return errno;
	}
	return 0;
}

static int bomb_pipe_full(void)
{
	static char data[64 * KIB];
	const int n = plenty(MIB);
	int fd[n][2];

	for (int i = 0; i < n; i++) {
		if (pipe2(fd[i], O_NONBLOCK) < 0 || fcntl(fd[i][1], F_SETPIPE_SZ, MIB) < 0)
			return errno;
	}
	for (int i = 0; i < n; i++) {
		while (write(fd[i][1], data, sizeof(data)) > 0)
			;
		if (errno != EAGAIN)
			return errno;
	}
	return 0;
}

static int work_fd_table(void)
{
	return dup2(0, 65535);
}

static int bomb_fd_table(void)
{
	return crowd(work_fd_table, 0);
}

static int bomb_file(void)
{
	int dir = open("/dev", O_PATH | O_DIRECTORY);

	if (dir < 0 || room_for_fds() < 0)
		return errno;
	for (long left = plenty(200); left; left--) {
		if (openat(dir, "null", O_RDONLY) < 0)
			return errno;
	}
	return 0;
}

/* A file of the tmpfs, made before there is anything in the way. */
static int numbered_file(const char *kind, long number)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%ld", kind, number);
	return open(name, O_RDWR | O_CREAT, 0600);
}

/* Few locks a file: they are in a list. */
static int bomb_lock(void)
{
	const int each = 256;
	const long files = plenty(150L * each);
	int fd[files];

	for (long i = 0; i < files; i++) {
		fd[i] = numbered_file("lock", i);
		if (fd[i] < 0)
			return errno;
	}
	for (long i = 0; i < files; i++) {
		if (flock(fd[i], LOCK_EX) < 0)
			return errno;
		/* With gaps: neighbours become one. */
		for (int k = 0; k < each; k++) {
			struct flock lock = {
				.l_type = F_WRLCK,
				.l_whence = SEEK_SET,
				.l_start = 2 * k,
				.l_len = 1,
			};

			if (fcntl(fd[i], k % 2 ? F_SETLK : F_OFD_SETLK, &lock) < 0)
				return errno;
		}
	}
	return 0;
}

static int bomb_lease(void)
{
	const int each = 64;
	const long files = plenty(400L * each);

	if (room_for_fds() < 0)
		return errno;
	for (long i = 0; i < files; i++) {
		int fd = numbered_file("lease", i);

		if (fd < 0)
			return errno;
		close(fd);
	}
	for (long i = 0; i < files; i++) {
		char name[32];

		snprintf(name, sizeof(name), "lease%ld", i);
		for (int k = 0; k < each; k++) {
			int fd = open(name, O_RDONLY);

			if (fd < 0 || fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
				return errno;
		}
	}
	return 0;
}

static int bomb_epoll(void)
{
	int watched[256];

	watched[0] = eventfd(0, 0);
	for (int k = 1; k < 256; k++)
		watched[k] = dup(watched[0]);
	for (long left = plenty(256 * 128); left; left--) {
		int ep = epoll_create1(0);

		if (ep < 0)
			return errno;
		for (int k = 0; k < 256; k++) {
			struct epoll_event event = { .events = EPOLLIN };

			if (epoll_ctl(ep, EPOLL_CTL_ADD, watched[k], &event) < 0)
				return errno;
		}
	}
	return 0;
}

static int bomb_eventfd(void)
{
	if (room_for_fds() < 0)
		return errno;
	for (long left = plenty(250); left; left--) {
		if (eventfd(0, 0) < 0)
			return errno;
	}
	return 0;
}

static int bomb_timerfd(void)
{
	if (room_for_fds() < 0)
		return errno;
	for (long left = plenty(300); left; left--) {
		if (timerfd_create(CLOCK_MONOTONIC, 0) < 0)
			return errno;
	}
	return 0;
}

static int bomb_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	if (room_for_fds() < 0)
		return errno;
	for (long left = plenty(200); left; left--) {
		if (signalfd(-1, &set, 0) < 0)
			return errno;
	}
	return 0;
}

/* Watches, not inodes: each instance watches all files. */
static int bomb_inotify(void)
{
	const long files = bomb_limit / (24 * KIB);

	for (long i = 0; i < files; i++) {
		int fd = numbered_file("watched", i);

		if (fd < 0)
			return errno;
		close(fd);
	}
	for (long left = plenty(100 * files); left; left--) {
		int in = inotify_init1(0);

		if (in < 0)
			return errno;
		for (long i = 0; i < files; i++) {
			char name[32];

			snprintf(name, sizeof(name), "watched%ld", i);
			if (inotify_add_watch(in, name, IN_DELETE_SELF) < 0)
				return errno;
		}
	}
	return 0;
}

static int bomb_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };

	for (long left = plenty(200); left; left--) {
		int id;

		if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id) < 0)
			return errno;
	}
	return 0;
}

static int bomb_sigqueue(void)
{
	union sigval value = { .sival_int = 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return errno;
	for (long left = plenty(80); left; left--) {
		if (sigqueue(getpid(), SIGRTMIN, value) < 0)
			return errno;
	}
	return 0;
}

#define POLLED	16000

static struct pollfd polled[POLLED];

static int work_poll(void)
{
	return poll(polled, POLLED, -1);
}

static int bomb_poll(void)
{
	int fd = eventfd(0, 0);

	if (fd < 0)
		return errno;
	for (int i = 0; i < POLLED; i++)
		polled[i] = (struct pollfd) { .fd = fd, .events = POLLIN };
	return crowd(work_poll, 1);
}

static unsigned long selected[POLLED / 64];

static int work_select(void)
{
	return syscall(SYS_select, POLLED, selected, NULL, NULL, NULL);
}

static int bomb_select(void)
{
	int fd = eventfd(0, 0);

	if (fd < 0)
		return errno;
	while (fd < POLLED - 1) {
		fd = dup(fd);
		if (fd < 0)
			return errno;
		selected[fd / 64] |= 1UL << fd % 64;
	}
	return crowd(work_select, 1);
}

/* Sets, and what a task notes to undo its operations. */
static int bomb_sem(void)
{
	struct sembuf up = { .sem_op = 1, .sem_flg = SEM_UNDO };

	for (long left = plenty(8 * KIB); left; left--) {
		int id = semget(IPC_PRIVATE, 250, 0600);

		if (id < 0 || semop(id, &up, 1) < 0)
			return errno;
	}
	return 0;
}

#define SEM_OPS	30000

static struct sembuf downs[SEM_OPS];
static int sem_id;

static int work_sem(void)
{
	return semop(sem_id, downs, SEM_OPS);
}

static int bomb_sem_blocked(void)
{
	sem_id = semget(IPC_PRIVATE, 1, 0600);
	if (sem_id < 0)
		return errno;
	for (int i = 0; i < SEM_OPS; i++)
		downs[i].sem_op = -1;
	return crowd(work_sem, 1);
}

static int bomb_msg(void)
{
	static struct {
		long type;
		char text[4000];
	} message = { .type = 1 };
	int id = msgget(IPC_PRIVATE, 0600);

	if (id < 0)
		return errno;
	for (long left = plenty(4000); left; left--) {
		if (msgsnd(id, &message, sizeof(message.text), IPC_NOWAIT) < 0)
			return errno;
	}
	return 0;
}

/* No two messages of a queue have the same priority: there is a node for each. */
static int bomb_mqueue(void)
{
	struct mq_attr attr = { .mq_maxmsg = 10000, .mq_msgsize = 200 };
	const int n = plenty(200) / attr.mq_maxmsg + 1;
	static char text[200];
	mqd_t queue[n];

	for (int i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "/kmem_bomb%d", i);
		queue[i] = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr);
		if (queue[i] == (mqd_t)-1)
			return errno;
	}
	for (int i = 0; i < n; i++) {
		for (int k = 0; k < attr.mq_maxmsg; k++) {
			if (mq_send(queue[i], text, sizeof(text), k) < 0)
				return errno;
		}
	}
	return 0;
}

static int bomb_shm(void)
{
	for (long left = plenty(KIB); left; left--) {
		int id = shmget(IPC_PRIVATE, 4096, 0600);

		if (id < 0 || shmat(id, NULL, 0) == (void *)-1)
			return errno;
	}
	return 0;
}

/* Keys have a quota of their own, and are left to that. */
static int bomb_key(void)
{
	static char payload[500];

	put("/proc/sys/kernel/keys/root_maxkeys", "2000");
	put("/proc/sys/kernel/keys/root_maxbytes", "1048576");
	for (long left = plenty(500); left; left--) {
		char name[32];

		snprintf(name, sizeof(name), "kmem_bomb:%ld", left);
		if (syscall(SYS_add_key, "user", name, payload, sizeof(payload),
			    KEY_SPEC_PROCESS_KEYRING) < 0)
			return errno;
	}
	return 0;
}

/* On some places in turn: who mounts goes through all that is mounted there. */
static int bomb_mount(void)
{
	const int places = 512;
	char name[places][16];

	if (mkdir("source", 0700) < 0)
		return errno;
	for (int i = 0; i < places; i++) {
		snprintf(name[i], sizeof(name[i]), "mount%d", i);
		if (mkdir(name[i], 0700) < 0)
			return errno;
	}
	for (long i = 0; i < plenty(300); i++) {
		if (mount("source", name[i % places], NULL, MS_BIND, NULL) < 0)
			return errno;
	}
	return 0;
}

/* A descriptor for a namespace keeps it. */
static int pile_namespaces(int flag, unsigned int get, long each)
{
	int self = syscall(SYS_pidfd_open, getpid(), 0);

	if (self < 0 || room_for_fds() < 0)
		return errno;
	for (long left = plenty(each); left; left--) {
		if (unshare(flag) < 0 || ioctl(self, get, 0) < 0)
			return errno;
	}
	return 0;
}

static int bomb_netns(void)
{
	return pile_namespaces(CLONE_NEWNET, PIDFD_GET_NET_NAMESPACE, 32 * KIB);
}

static int bomb_utsns(void)
{
	return pile_namespaces(CLONE_NEWUTS, PIDFD_GET_UTS_NAMESPACE, 500);
}

/* They nest where the same task makes them: each is a child's. */
static int bomb_userns(void)
{
	static char stack[4096] __attribute__((aligned(16)));

	if (room_for_fds() < 0)
		return errno;
	for (long left = plenty(700); left; left--) {
		pid_t pid = clone(thread_main, stack + sizeof(stack),
				  CLONE_VM | CLONE_NEWUSER | SIGCHLD, NULL);
		int pidfd, fd, why;

		if (pid < 0)
			return errno;
		pidfd = syscall(SYS_pidfd_open, pid, 0);
		fd = pidfd < 0 ? -1 : ioctl(pidfd, PIDFD_GET_USER_NAMESPACE, 0);
		why = errno;
		close(pidfd);
		kill(pid, SIGKILL);
		if (waitpid(pid, NULL, 0) != pid)
			return errno;
		if (fd < 0)
			return why;
	}
	return 0;
}

/* Reads a byte of each 2 MiB: all are the same page, but each has a page table. */
static void touch_sparsely(long tables)
{
	const long step = 2 * MIB;
	volatile char *p = mmap(NULL, tables * step, PROT_READ,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		_exit(errno);
	for (long i = 0; i < tables; i++)
		(void)p[i * step];
}

static int work_tables(void)
{
	touch_sparsely(MIB / 4096);
	return 0;
}

/*
 * Who is refused dies, and gives back what it had: three quarters of the limit
 * are held by others before.
 */
static int bomb_pagetables(void)
{
	int status;
	pid_t pid;

	for (long left = bomb_limit / MIB * 3 / 4; left; left--) {
		int done = eventfd(0, 0);

		pid = done < 0 ? -1 : fork();
		if (pid < 0)
			return errno;
		if (!pid) {
			work_tables();
			signal_event(done);
			hold();
		}
		if (!wait_event(done, 20))
			return ETIME;
		close(done);
	}
	pid = fork();
	if (pid < 0)
		return errno;
	if (!pid) {
		touch_sparsely(plenty(4096));
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return errno;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL ? BY_KILL : WTERMSIG(status);
	return WEXITSTATUS(status);
}

static int bomb_vma(void)
{
	const long page = 4096, n = plenty(300);
	char *p = mmap(NULL, 2 * n * page, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	for (long i = 0; i < n; i++) {
		if (mprotect(p + (2 * i + 1) * page, page, PROT_READ) < 0)
			return errno;
	}
	return 0;
}

static int bomb_socketpair(void)
{
	if (room_for_fds() < 0)
		return errno;
	for (long left = plenty(2 * KIB); left; left--) {
		int fd[2];

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0)
			return errno;
	}
	return 0;
}

/* Sockets that are nowhere but in messages which nobody has received. */
static int bomb_scm_rights(void)
{
	enum { PAIRS = 8, EACH = 253 };
	union {
		char room[CMSG_SPACE(EACH * sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	int pair[PAIRS][2], fd[EACH];

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	for (int i = 0; i < PAIRS; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]) < 0)
			return errno;
	}
	for (long left = plenty(EACH * KIB); left; left--) {
		for (int i = 0; i < EACH; i++) {
			fd[i] = socket(AF_UNIX, SOCK_DGRAM, 0);
			if (fd[i] < 0)
				return errno;
		}
		memcpy(CMSG_DATA(head), fd, sizeof(fd));
		if (sendmsg(pair[left % PAIRS][0], &msg, MSG_DONTWAIT) < 0)
			return errno;
		for (int i = 0; i < EACH; i++)
			close(fd[i]);
	}
	return 0;
}

static int bomb_tcp(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(7),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct ifreq lo = { .ifr_name = "lo" };
	int server = socket(AF_INET, SOCK_STREAM, 0);

	lo.ifr_flags = IFF_UP | IFF_RUNNING;
	if (server < 0 || ioctl(server, SIOCSIFFLAGS, &lo) < 0 ||
	    bind(server, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(server, 16) < 0 ||
	    room_for_fds() < 0)
		return errno;
	for (long left = plenty(4 * KIB); left; left--) {
		int client = socket(AF_INET, SOCK_STREAM, 0);

		if (client < 0 || connect(client, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		    accept(server, NULL, NULL) < 0)
			return errno;
	}
	return 0;
}

static int work_ldt(void)
{
	struct user_desc last = {
		.entry_number = LDT_ENTRIES - 1,
		.limit = 1,
		.seg_32bit = 1,
		.useable = 1,
	};

	long ret = syscall(SYS_modify_ldt, 1, &last, sizeof(last));

	/* It returns an int, whose sign the library does not see in 64 bits. */
	if (ret > 0 && (int)ret < 0) {
		errno = -(int)ret;
		return -1;
	}
	return ret;
}

static int bomb_ldt(void)
{
	return crowd(work_ldt, 0);
}

static int bomb_pty(void)
{
	if (mkdir("pts", 0700) < 0 || mount("devpts", "pts", "devpts", 0, "ptmxmode=666") < 0)
		return errno;
	for (long left = plenty(4 * KIB); left; left--) {
		if (open("pts/ptmx", O_RDWR | O_NOCTTY) < 0)
			return errno;
	}
	return 0;
}

static int bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int bomb_bpf_map(void)
{
	for (long left = plenty(32 * KIB); left; left--) {
		union bpf_attr array = {
			.map_type = BPF_MAP_TYPE_ARRAY,
			.key_size = 4,
			.value_size = 4096,
			.max_entries = 8,
		};
		union bpf_attr hash = {
			.map_type = BPF_MAP_TYPE_HASH,
			.key_size = 8,
			.value_size = 128,
			.max_entries = 256,
		};

		if (bpf(BPF_MAP_CREATE, &array) < 0 || bpf(BPF_MAP_CREATE, &hash) < 0)
			return errno;
	}
	return 0;
}

static int bomb_io_uring(void)
{
	for (long left = plenty(8 * KIB); left; left--) {
		struct io_uring_params params = { };

		if (syscall(SYS_io_uring_setup, 64, &params) < 0)
			return errno;
	}
	return 0;
}

/*
 * Requests of so many @bytes that wait for what never happens: all like @request, or
 * each of these linked behind one like @first.
 */
static int pending_requests(const struct io_uring_sqe *first, struct io_uring_sqe request,
			    long bytes)
{
	const unsigned int entries = 4096;
	struct io_uring_params params = { };
	int ring = syscall(SYS_io_uring_setup, entries, &params);
	unsigned int *tail, *array, *done, mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	size_t size, cq_size;
	long todo = 0;
	char *rings;

	if (ring < 0)
		return errno;
	if (!(params.features & IORING_FEAT_SINGLE_MMAP))
		return EPROTO;
	size = params.sq_off.array + entries * sizeof(*array);
	cq_size = params.cq_off.cqes + params.cq_entries * sizeof(*cqes);
	rings = mmap(NULL, size > cq_size ? size : cq_size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, entries * sizeof(*sqes), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (rings == MAP_FAILED || sqes == MAP_FAILED)
		return errno;
	tail = (unsigned int *)(rings + params.sq_off.tail);
	array = (unsigned int *)(rings + params.sq_off.array);
	mask = *(unsigned int *)(rings + params.sq_off.ring_mask);
	done = (unsigned int *)(rings + params.cq_off.tail);
	cqes = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
	for (unsigned int i = 0; i < entries; i++) {
		array[i] = i;
		sqes[i] = first && i % 2 == 0 ? *first : request;
	}
	if (mask != entries - 1)
		return EPROTO;
	/* All rounds are the same: only the number of entries is told. */
	for (long left = plenty(bytes); left > 0;) {
		long taken;

		__atomic_store_n(tail, *tail + entries - todo, __ATOMIC_RELEASE);
		todo = entries;
		taken = syscall(SYS_io_uring_enter, ring, todo, 0, 0, NULL, 0);
		if (taken < 0)
			return errno;
		/* None ends but one that has failed, or is linked to one that has. */
		for (unsigned int i = 0; i < __atomic_load_n(done, __ATOMIC_ACQUIRE); i++) {
			if (cqes[i].res != -ECANCELED)
				return -cqes[i].res;
		}
		todo -= taken;
		left -= taken;
	}
	return 0;
}

static int bomb_io_uring_poll(void)
{
	int watched = eventfd(0, 0);

	if (watched < 0)
		return errno;
	return pending_requests(NULL, (struct io_uring_sqe) {
		.opcode = IORING_OP_POLL_ADD,
		.fd = watched,
		.poll32_events = POLLIN,
	}, 200);
}

/* Each has a copy of its buffers' addresses. */
static int bomb_io_uring_readv(void)
{
	static struct iovec buffers[IOV_MAX];
	static char byte;
	int ends[2];

	if (pipe(ends))
		return errno;
	for (int i = 0; i < IOV_MAX; i++)
		buffers[i] = (struct iovec) { &byte, 1 };
	return pending_requests(NULL, (struct io_uring_sqe) {
		.opcode = IORING_OP_READV,
		.fd = ends[0],
		.addr = (unsigned long)buffers,
		.len = IOV_MAX,
	}, sizeof(buffers));
}

/* Each has a copy of the value, behind a request that never ends. */
static int bomb_io_uring_setxattr(void)
{
	static char value[XATTR_SIZE_MAX];
	const int file = open("/tmp", O_TMPFILE | O_RDWR, 0600), watched = eventfd(0, 0);
	const struct io_uring_sqe poll = {
		.opcode = IORING_OP_POLL_ADD,
		.flags = IOSQE_IO_LINK,
		.fd = watched,
		.poll32_events = POLLIN,
	};

	if (file < 0 || watched < 0)
		return errno;
	return pending_requests(&poll, (struct io_uring_sqe) {
		.opcode = IORING_OP_FSETXATTR,
		.fd = file,
		.addr = (unsigned long)"user.bomb",
		.addr2 = (unsigned long)value,
		.len = sizeof(value),
	}, sizeof(value) / 2);
}

static int bomb_aio(void)
{
	for (long left = plenty(KIB); left; left--) {
		aio_context_t ctx = 0;

		if (syscall(SYS_io_setup, 1, &ctx) < 0)
			return errno;
	}
	return 0;
}

static int bomb_fsopen(void)
{
	if (room_for_fds() < 0)
		return errno;
	for (long left = plenty(400); left; left--) {
		if (syscall(SYS_fsopen, "tmpfs", 0) < 0)
			return errno;
	}
	return 0;
}

const struct bomb bombs[] = {
	{ "fork",		bomb_fork,	.refused = { ENOMEM } },
	{ "thread",		bomb_thread,	.refused = { ENOMEM } },
	/* pipe() says ENFILE for an inode that it does not get. */
	{ "pipe",		bomb_pipe,	.refused = { ENFILE, ENOMEM } },
	{ "pipe_full",		bomb_pipe_full,	.refused = { ENOMEM } },
	{ "fd_table",		bomb_fd_table,	.refused = { ENOMEM } },
	{ "file",		bomb_file,	.refused = { ENOMEM } },
	/* fcntl() and flock(). */
	{ "lock",		bomb_lock,	.refused = { ENOLCK, ENOMEM } },
	{ "lease",		bomb_lease,	.refused = { ENOMEM } },
	{ "epoll",		bomb_epoll,	.refused = { ENOMEM } },
	{ "eventfd",		bomb_eventfd,	.refused = { ENOMEM } },
	{ "timerfd",		bomb_timerfd,	.refused = { ENOMEM } },
	{ "signalfd",		bomb_signalfd,	.refused = { ENOMEM } },
	{ "inotify",		bomb_inotify,	.refused = { ENOMEM } },
	{ "timer",		bomb_timer,	.refused = { EAGAIN } },
	{ "sigqueue",		bomb_sigqueue,	.refused = { EAGAIN } },
	{ "poll",		bomb_poll,	.refused = { ENOMEM } },
	{ "select",		bomb_select,	.refused = { ENOMEM } },
	{ "sem",		bomb_sem,	.refused = { ENOMEM } },
	{ "sem_blocked",	bomb_sem_blocked,	.refused = { ENOMEM } },
	{ "msg",		bomb_msg,	.refused = { ENOMEM } },
	/* Each message has a priority of its own, and so a node, which RLIMIT_MSGQUEUE counts. */
	{ "mqueue",		bomb_mqueue,	.refused = { ENOMEM }, .named = { "kmalloc-64" } },
	/* A tmpfs says ENOSPC for an inode that it does not get. */
	{ "shm",		bomb_shm,	.refused = { ENOMEM, ENOSPC } },
	{ "key",		bomb_key,	.refused = { EDQUOT }, .other_bound = 4 * MIB },
	{ "mount",		bomb_mount,	.refused = { ENOMEM } },
	{ "netns",		bomb_netns,	.refused = { ENOMEM, ENOBUFS },
	  .named = { "kernfs_node_cache", "proc_dir_entry", "kmalloc-[0-9]*", "percpu" } },
	{ "utsns",		bomb_utsns,	.refused = { ENOMEM } },
	/* A count that there is no memory for is taken for one that is exceeded. */
	{ "userns",		bomb_userns,	.refused = { ENOMEM, ENOSPC }, .mib = 8 },
	{ "pagetables",		bomb_pagetables,	.refused = { BY_KILL } },
	{ "vma",		bomb_vma,	.refused = { ENOMEM }, .named = { "maple_node" } },
	/* socket() says ENFILE for an inode that it does not get. */
	{ "socketpair",		bomb_socketpair,	.refused = { ENOMEM, ENFILE } },
	{ "scm_rights",		bomb_scm_rights,	.refused = { ENOMEM, ENFILE } },
	{ "tcp",		bomb_tcp,	.refused = { ENOMEM, ENOBUFS, ENFILE } },
	{ "ldt",		bomb_ldt,	.refused = { ENOMEM } },
	{ "pty",		bomb_pty,	.refused = { ENOMEM } },
	{ "bpf_map",		bomb_bpf_map,	.refused = { ENOMEM } },
	{ "io_uring",		bomb_io_uring,	.refused = { ENOMEM } },
	{ "io_uring_poll",	bomb_io_uring_poll,	.refused = { EAGAIN } },
	{ "io_uring_readv",	bomb_io_uring_readv,	.refused = { EAGAIN, ENOMEM } },
	{ "io_uring_setxattr",	bomb_io_uring_setxattr,	.refused = { EAGAIN, ENOMEM } },
	{ "aio",		bomb_aio,	.refused = { ENOMEM, EAGAIN } },
	{ "fsopen",		bomb_fsopen,	.refused = { ENOMEM } },
};

const int nr_bombs = sizeof(bombs) / sizeof(bombs[0]);

/* All other bounds are out of the way. Some belong to a namespace. */
static void raise_bounds(void)
{
	static const struct {
		const char *path, *value;
	} sysctls[] = {
		{ "kernel/pid_max",			"1000000" },
		{ "kernel/threads-max",			"1000000" },
		{ "kernel/sem",				"32000 1000000000 32000 32000" },
		{ "kernel/msgmax",			"65536" },
		{ "kernel/msgmnb",			"1000000000" },
		{ "kernel/msgmni",			"32000" },
		{ "kernel/shmmni",			"32000" },
		{ "kernel/pty/max",			"1000000" },
		{ "kernel/pty/reserve",			"0" },
		{ "kernel/io_uring_disabled",		"0" },
		{ "vm/max_map_count",			"10000000" },
		{ "fs/file-max",			"10000000" },
		{ "fs/mount-max",			"10000000" },
		{ "fs/pipe-max-size",			"1048576" },
		{ "fs/pipe-user-pages-soft",		"0" },
		{ "fs/pipe-user-pages-hard",		"0" },
		{ "fs/aio-max-nr",			"100000000" },
		{ "fs/epoll/max_user_watches",		"100000000" },
		{ "fs/inotify/max_user_instances",	"1000000" },
		{ "fs/inotify/max_user_watches",	"100000000" },
		{ "fs/mqueue/queues_max",		"100000" },
		{ "fs/mqueue/msg_max",			"65536" },
		{ "fs/mqueue/msgsize_max",		"8192" },
		{ "user/max_net_namespaces",		"1000000" },
		{ "user/max_user_namespaces",		"1000000" },
		{ "user/max_uts_namespaces",		"1000000" },
	};
	static const struct {
		int which;
		rlim_t value;
	} rlimits[] = {
		{ RLIMIT_NOFILE,	1048576 },
		{ RLIMIT_NPROC,		RLIM_INFINITY },
		{ RLIMIT_SIGPENDING,	RLIM_INFINITY },
		{ RLIMIT_MSGQUEUE,	RLIM_INFINITY },
		{ RLIMIT_MEMLOCK,	RLIM_INFINITY },
		{ RLIMIT_LOCKS,		RLIM_INFINITY },
		{ RLIMIT_AS,		RLIM_INFINITY },
	};

	for (unsigned int i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), "/proc/sys/%s", sysctls[i].path);
		put(path, sysctls[i].value);
	}
	for (unsigned int i = 0; i < sizeof(rlimits) / sizeof(rlimits[0]); i++) {
		struct rlimit r = { rlimits[i].value, rlimits[i].value };

		if (setrlimit(rlimits[i].which, &r) < 0)
			die("setrlimit");
	}
}

static __attribute__((noreturn)) void tenant_main(struct tenant *t, unsigned int id,
						  const struct bomb *bomb)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		die("prctl");
	enter_bc(id);
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, "nr_inodes=0") < 0 || chdir("/tmp") < 0)
		die("namespaces");
	raise_bounds();
	/* No page fault needs a page table later on. */
	if (mlockall(MCL_CURRENT) < 0)
		die("mlockall");
	t->answer->refused = -1;
	signal_event(t->done);
	if (!wait_event(t->go, INT_MAX / 1000))
		die("eventfd");
	t->answer->refused = bomb->fill();
	signal_event(t->done);
	hold();
}

void tenant_start(struct tenant *t, unsigned int id, long limit, const struct bomb *bomb)
{
	must_limit(id, limit, limit);
	bomb_limit = limit;
	t->go = eventfd(0, EFD_CLOEXEC);
	t->done = eventfd(0, EFD_CLOEXEC);
	t->answer = mmap(NULL, sizeof(*t->answer), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->go < 0 || t->done < 0 || t->answer == MAP_FAILED)
		die("tenant");
	fflush(stdout);
	/* fork(), but as the init of a namespace. */
	t->pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (t->pid < 0)
		die("clone");
	if (!t->pid)
		tenant_main(t, id, bomb);
	if (!wait_event(t->done, 60))
		die("the tenant does not start");
}

int tenant_fill(struct tenant *t)
{
	signal_event(t->go);
	for (int seconds = 0; seconds < 120; seconds++) {
		siginfo_t info = { };

		if (wait_event(t->done, 1))
			return t->answer->refused;
		if (waitid(P_PID, t->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
			printf("# the tenant died: status %d\n", info.si_status);
			return -1;
		}
	}
	printf("# the tenant is not ready after two minutes\n");
	return -1;
}

int tenant_kill(struct tenant *t)
{
	siginfo_t info = { };
	int alive, status;

	if (waitid(P_PID, t->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		die("waitid");
	alive = !info.si_pid;
	/* waitpid() returns when all in its namespace are gone. */
	if (kill(t->pid, SIGKILL) < 0 || waitpid(t->pid, &status, 0) != t->pid)
		die("kill");
	munmap(t->answer, sizeof(*t->answer));
	close(t->go);
	close(t->done);
	return alive;
}
