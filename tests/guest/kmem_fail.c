// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmem_fail [ROW...]: each allocation on the way of a system call fails once, in
 * a beancounter: what the call was charged for until then is given back.
 *
 * A row of the table below is a call, or a few. Most are made over and over by
 * one process ("stays"): after each time it has undone what succeeded, and holds
 * what it held before. What changes the process itself, such as its memory or
 * its credentials, is done by a fresh process each time: once that one is gone,
 * nothing is held. The first process of a row is on the host, so that what the
 * kernel keeps from the first time on is not charged.
 *
 * Prints a line "ok NUMBER NAME" or "not ok NUMBER NAME" for each row, and for
 * the sums if no row was named. Needs failslab, fail_page_alloc and fail-nth,
 * debugfs, /tmp and the uapi headers of the series.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <linux/beancounter.h>

#include "must.h"
#include "visit_cpus.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME	0x80
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define ID		7051
#define DEBUGFS		"/sys/kernel/debug/"
#define CHECK		DEBUGFS "beancounters/kmemsize"
#define DIR		"/tmp/kmem_fail"
#define SETTLE_MS	20000	/* RCU and work queues have freed all by then */
#define MOST		5000	/* allocations of one call */
#define MISSES		2	/* so many times no allocation was left to fail */
#define FAULTS		1000	/* of all rows, at the least */
#define FAILED		400	/* calls that said so, at the least */

/* How the processes of a row end. */
#define EXIT_LEAK	2	/* see shared->held */
#define EXIT_HIT	3	/* of the program that was executed */
#define EXIT_MISSED	4
#define EXIT_STARTUP	127	/* the C library could not start that program */

static struct shared {
	unsigned int faults, failed;
	int armed;		/* in the middle of a call */
	int hit;		/* in the last call an allocation was made to fail */
	unsigned int nth;
	uint64_t before, held;
	int64_t bytes;		/* that a call which succeeded is charged for */
} *shared;

static unsigned int nth;	/* which allocation is to fail; 0: none */
static int fail_fd = -1, caches_fd = -1;

static void die(const char *what)
{
	/* Not by way of a buffer, which a child has from its parent. */
	dprintf(STDOUT_FILENO, "# allocation %u: %s: %s\n", nth, what, strerror(errno));
	_exit(1);
}

static void shut(int fd)
{
	if (fd >= 0)
		close(fd);
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static uint64_t held(void)
{
	struct bc_stat s;

	if (syscall(476, ID, BC_KMEMSIZE, &s, sizeof(s), 0) < 0)
		die("get_bcstat");
	return s.held;
}

/* From here on the caller is charged, and its allocations can be made to fail. */
static void attach(void)
{
	MUST(syscall(474, ID, -10001 /* this process */, 0));
	fail_fd = MUST(open("/proc/thread-self/fail-nth", O_RDWR));
}

static void arm(void)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (!nth)
		return;
	shared->before = held();
	shared->armed = 1;
	if (pwrite(fail_fd, text, len, 0) != len)
		die("fail-nth");
}

static void disarm(int failed)
{
	const int error = errno;
	struct bc_stat s;
	char text[16] = "";

	if (!nth) {
		if (failed)
			die("the call fails without a fault");
		return;
	}
	if (pread(fail_fd, text, sizeof(text) - 1, 0) <= 0)
		die("fail-nth");
	shared->hit = !atoi(text);
	if (!shared->hit && pwrite(fail_fd, "0", 1, 0) != 1)
		die("fail-nth");
	shared->armed = 0;
	if (!shared->hit && failed) {
		errno = error;
		die("the call fails without a fault");
	}
	shared->faults += shared->hit;
	shared->failed += shared->hit && failed;
	/* In a user namespace of its own it may not ask any more. */
	if (!shared->hit && !syscall(476, ID, BC_KMEMSIZE, &s, sizeof(s), 0))
		shared->bytes = s.held - shared->before;
}

/* The call that a row is about, with its nth allocation failing. */
#define FAULT(call) ({						\
	long ret_;						\
								\
	arm();							\
	ret_ = (long)(call);					\
	disarm(ret_ == -1);					\
	ret_;							\
})

/* What kfree_rcu() has collected is not left waiting for seconds. */
static void drop_slab(void)
{
	if (pwrite(caches_fd, "2", 1, 0) != 1)
		die("drop_caches");
}

static int settled(uint64_t want)
{
	long long start = now_ms(), next = 100, t;

	while (held() != want) {
		t = now_ms() - start;
		if (t > SETTLE_MS)
			return 0;
		if (t >= next) {
			drop_slab();
			visit_cpus();
			next = now_ms() - start + 200;
		}
		usleep(2000);
	}
	return 1;
}

/* What is held when nothing is about to be freed. */
static uint64_t quiet(void)
{
	uint64_t last = held(), next;
	int same = 0;

	while (same < 5) {
		drop_slab();
		usleep(100000);
		next = held();
		same = next == last ? same + 1 : 0;
		last = next;
	}
	return last;
}

/* Files, pipes and what is told of them */

static void row_pipe(void)
{
	int p[2];

	if (FAULT(pipe(p)) == 0) {
		close(p[0]);
		close(p[1]);
	}
}

static void row_pipe_write(void)
{
	static char data[3 * 4096];
	int p[2];

	MUST(pipe2(p, O_NONBLOCK));
	FAULT(write(p[1], data, sizeof(data)));
	close(p[0]);
	close(p[1]);
}

static void row_open(void)
{
	shut(FAULT(open(DIR "/file", O_RDONLY)));
}

static void row_openat_new(void)
{
	int dir = MUST(open(DIR, O_RDONLY | O_DIRECTORY));
	int fd = FAULT(openat(dir, "new", O_RDWR | O_CREAT | O_EXCL, 0600));

	shut(fd);
	if (unlinkat(dir, "new", 0) < 0 && fd >= 0)
		die("unlinkat");
	close(dir);
}

/* The copy of the value, and what the file system makes of it. */
static void row_setxattr(void)
{
	static char value[20000];
	int fd = MUST(open(DIR "/file", O_RDWR));

	if (FAULT(fsetxattr(fd, "user.row", value, sizeof(value), 0)) == 0)
		MUST(fremovexattr(fd, "user.row"));
	close(fd);
}

static void row_dup2(void)
{
	FAULT(dup2(0, 1000));
}

static void row_epoll_create(void)
{
	shut(FAULT(epoll_create1(0)));
}

static void row_epoll_ctl(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int ep = MUST(epoll_create1(0)), p[2];

	MUST(pipe(p));
	FAULT(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
	close(ep);
	close(p[0]);
	close(p[1]);
}

static void row_eventfd(void)
{
	shut(FAULT(eventfd(0, 0)));
}

static void row_timerfd(void)
{
	shut(FAULT(timerfd_create(CLOCK_MONOTONIC, 0)));
}

static void row_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	shut(FAULT(signalfd(-1, &set, 0)));
}

static void row_inotify_init(void)
{
	shut(FAULT(inotify_init1(0)));
}

static void row_inotify_add(void)
{
	int fd = MUST(inotify_init1(0));

	FAULT(inotify_add_watch(fd, DIR "/dir", IN_CLOSE));
	close(fd);
}

static void row_fanotify_init(void)
{
	shut(FAULT(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY)));
}

static void row_fanotify_mark(void)
{
	int fd = MUST(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY));

	FAULT(fanotify_mark(fd, FAN_MARK_ADD, FAN_CLOSE, AT_FDCWD, DIR "/dir"));
	close(fd);
}

static void row_memfd(void)
{
	shut(FAULT(memfd_create("kmem_fail", 0)));
}

/* The context of locks stays with the inode: a new file each time. */
static int lock_file(int flags)
{
	int fd = MUST(open(DIR "/lock", flags | O_CREAT | O_EXCL, 0600));

	MUST(unlink(DIR "/lock"));
	return fd;
}

static void row_flock(void)
{
	int fd = lock_file(O_RDWR);

	FAULT(flock(fd, LOCK_EX));
	close(fd);
}

/* A lock, and another one in its middle, which makes three of it. */
static long lock_twice(int fd, int cmd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 100 };

	if (fcntl(fd, cmd, &l) < 0)
		return -1;
	l.l_type = F_RDLCK;
	l.l_start = 40;
	l.l_len = 10;
	return fcntl(fd, cmd, &l);
}

static void row_posix_lock(void)
{
	int fd = lock_file(O_RDWR);

	FAULT(lock_twice(fd, F_SETLK));
	close(fd);
}

static void row_ofd_lock(void)
{
	int fd = lock_file(O_RDWR);

	FAULT(lock_twice(fd, F_OFD_SETLK));
	close(fd);
}

static void row_lease(void)
{
	int fd = lock_file(O_RDONLY);

	FAULT(fcntl(fd, F_SETLEASE, F_RDLCK));
	close(fd);
}

/* Waiting for something, a moment: what does not wait needs no table. */

static void row_poll(void)
{
	static struct pollfd fds[500];
	int p[2];

	MUST(pipe(p));
	for (int i = 0; i < 500; i++)
		fds[i] = (struct pollfd) { .fd = p[0], .events = POLLIN };
	FAULT(poll(fds, 500, 1));
	close(p[0]);
	close(p[1]);
}

static void row_ppoll(void)
{
	struct timespec ts = { .tv_nsec = 1000000 };
	static struct pollfd fds[500];
	sigset_t set;
	int p[2];

	sigemptyset(&set);
	MUST(pipe(p));
	for (int i = 0; i < 500; i++)
		fds[i] = (struct pollfd) { .fd = p[0], .events = POLLIN };
	FAULT(ppoll(fds, 500, &ts, &set));
	close(p[0]);
	close(p[1]);
}

static void row_select(void)
{
	struct timeval tv = { .tv_usec = 1000 };
	fd_set set;
	int p[2];

	MUST(pipe(p));
	MUST(dup2(p[0], 1000));
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	FD_SET(1000, &set);
	FAULT(select(1001, &set, NULL, NULL, &tv));
	close(1000);
	close(p[0]);
	close(p[1]);
}

/* System V and POSIX IPC, timers, signals */

static void row_semget(void)
{
	int id = FAULT(semget(IPC_PRIVATE, 8, 0600));

	if (id >= 0)
		MUST(semctl(id, 0, IPC_RMID));
}

/* More operations than there is room for on the stack. */
static void row_semop(void)
{
	int id = MUST(semget(IPC_PRIVATE, 1, 0600));
	struct sembuf ops[100];

	for (int i = 0; i < 100; i++)
		ops[i] = (struct sembuf) { .sem_op = 1 };
	FAULT(semop(id, ops, 100));
	MUST(semctl(id, 0, IPC_RMID));
}

static void row_semop_undo(void)
{
	struct sembuf op = { .sem_op = 1, .sem_flg = SEM_UNDO };
	int id = MUST(semget(IPC_PRIVATE, 1, 0600));

	FAULT(semop(id, &op, 1));
	MUST(semctl(id, 0, IPC_RMID));
}

static void row_msgget(void)
{
	int id = FAULT(msgget(IPC_PRIVATE, 0600));

	if (id >= 0)
		MUST(msgctl(id, IPC_RMID, NULL));
}

static void row_msgsnd(void)
{
	static struct {
		long type;
		char text[6000];
	} m = { .type = 1 };
	int id = MUST(msgget(IPC_PRIVATE, 0600));

	FAULT(msgsnd(id, &m, sizeof(m.text), IPC_NOWAIT));
	MUST(msgctl(id, IPC_RMID, NULL));
}

static void row_shmget(void)
{
	int id = FAULT(shmget(IPC_PRIVATE, 1 << 16, 0600));

	if (id >= 0)
		MUST(shmctl(id, IPC_RMID, NULL));
}

static void row_shmat(void)
{
	int id = MUST(shmget(IPC_PRIVATE, 1 << 16, 0600));

	FAULT(shmat(id, NULL, 0));
	/* It goes with the process. */
	MUST(shmctl(id, IPC_RMID, NULL));
}

static void row_mq_open(void)
{
	struct mq_attr a = { .mq_maxmsg = 8, .mq_msgsize = 1024 };
	mqd_t q = FAULT(mq_open("/kmem_fail", O_RDWR | O_CREAT | O_EXCL, 0600, &a));

	if (q >= 0)
		mq_close(q);
	if (mq_unlink("/kmem_fail") < 0 && q >= 0)
		die("mq_unlink");
}

static void row_timer_create(void)
{
	struct sigevent e = { .sigev_notify = SIGEV_NONE };
	int id;

	if (FAULT(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id)) == 0)
		MUST(syscall(SYS_timer_delete, id));
}

static void row_sigqueue(void)
{
	siginfo_t info = { .si_signo = SIGRTMIN, .si_code = SI_QUEUE };
	struct timespec none = { };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	if (FAULT(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &info)) == 0)
		MUST(sigtimedwait(&set, &info, &none));
}

/* Sockets */

static void row_socket(void)
{
	shut(FAULT(socket(AF_UNIX, SOCK_STREAM, 0)));
}

static void row_socketpair(void)
{
	int s[2];

	if (FAULT(socketpair(AF_UNIX, SOCK_STREAM, 0, s)) == 0) {
		close(s[0]);
		close(s[1]);
	}
}

/* Without a name in a file system. */
static const struct sockaddr_un unix_name = { .sun_family = AF_UNIX, .sun_path = "\0kmem_fail" };

static int unix_listener(void)
{
	int fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	MUST(bind(fd, (struct sockaddr *)&unix_name, sizeof(unix_name)));
	MUST(listen(fd, 8));
	return fd;
}

static void row_unix_connect(void)
{
	int l = unix_listener(), fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	FAULT(connect(fd, (struct sockaddr *)&unix_name, sizeof(unix_name)));
	close(fd);
	close(l);
}

static void row_unix_accept(void)
{
	int l = unix_listener(), fd = MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	MUST(connect(fd, (struct sockaddr *)&unix_name, sizeof(unix_name)));
	shut(FAULT(accept(l, NULL, NULL)));
	close(fd);
	close(l);
}

static void row_scm_rights(void)
{
	char control[CMSG_SPACE(10 * sizeof(int))] = "", byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int s[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(10 * sizeof(int));
	memset(CMSG_DATA(c), 0, 10 * sizeof(int));
	FAULT(sendmsg(s[0], &m, MSG_DONTWAIT));
	close(s[0]);
	close(s[1]);
}

/* A connection is reset, not closed: nothing waits for a minute. */
static int tcp_socket(void)
{
	struct linger l = { .l_onoff = 1 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd >= 0)
		MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)));
	return fd;
}

static void row_tcp_socket(void)
{
	shut(FAULT(tcp_socket()));
}

static long tcp_bind_listen(int fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return bind(fd, (struct sockaddr *)&a, sizeof(a)) ? -1 : listen(fd, 8);
}

static void row_tcp_listen(void)
{
	int fd = MUST(tcp_socket());

	FAULT(tcp_bind_listen(fd));
	close(fd);
}

static int tcp_listener(struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int fd = MUST(tcp_socket());

	MUST(tcp_bind_listen(fd));
	MUST(getsockname(fd, (struct sockaddr *)a, &len));
	return fd;
}

static long tcp_connect(int fd, struct sockaddr_in *a)
{
	long ret = connect(fd, (struct sockaddr *)a, sizeof(*a));

	return ret < 0 && errno == EINPROGRESS ? 0 : ret;
}

static void row_tcp_connect(void)
{
	struct sockaddr_in a;
	int l = tcp_listener(&a), fd = MUST(tcp_socket());

	FAULT(tcp_connect(fd, &a));
	close(fd);
	close(l);
}

static void row_tcp_accept(void)
{
	struct sockaddr_in a;
	int l = tcp_listener(&a), fd = MUST(tcp_socket()), got;
	struct linger now = { .l_onoff = 1 };
	struct pollfd p = { .fd = l, .events = POLLIN };

	MUST(tcp_connect(fd, &a));
	if (poll(&p, 1, 10000) != 1)
		die("no connection");
	got = FAULT(accept(l, NULL, NULL));
	if (got >= 0)
		MUST(setsockopt(got, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	shut(got);
	close(fd);
	close(l);
}

/* Processes */

static long do_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid;
}

static void row_fork(void)
{
	pid_t pid = FAULT(do_fork());

	if (pid > 0)
		MUST(waitpid(pid, NULL, 0));
}

static long do_vfork(void)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	return pid;
}

static void row_vfork(void)
{
	pid_t pid = FAULT(do_vfork());

	if (pid > 0)
		MUST(waitpid(pid, NULL, 0));
}

static int thread(void *unused)
{
	(void)unused;
	return 0;
}

/* It ends by itself, or with the process. */
static void row_thread(void)
{
	static char stack[1 << 16] __attribute__((aligned(16)));

	FAULT(clone(thread, stack + sizeof(stack), CLONE_VM | CLONE_FS | CLONE_FILES |
		    CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL));
}

/* The new program finds the rest of fail-nth in the file that stays open. */
static void row_execve(void)
{
	char fd[16];
	char *args[] = { "kmem_fail", "--exec", fd, NULL };

	/* The warm-up, which has no such file. */
	if (!nth)
		return;
	snprintf(fd, sizeof(fd), "%d", fail_fd);
	FAULT(execve("/proc/self/exe", args, args + 3));
}

static void row_setgroups(void)
{
	gid_t groups[100];

	for (int i = 0; i < 100; i++)
		groups[i] = 1000 + i;
	FAULT(syscall(SYS_setgroups, 100, groups));
}

/* The effective one stays: only root may ask what is held. */
static void row_setresuid(void)
{
	FAULT(syscall(SYS_setresuid, 12345, 12345, 0));
}

static void row_keyctl(void)
{
	FAULT(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
}

static void row_add_key(void)
{
	static char data[2000];

	FAULT(syscall(SYS_add_key, "user", "kmem_fail", data, sizeof(data),
		      KEY_SPEC_PROCESS_KEYRING));
}

static void row_chroot(void)
{
	if (FAULT(chroot(DIR)) == 0)
		MUST(chdir("/"));
}

static void row_chdir(void)
{
	FAULT(chdir(DIR "/dir"));
}

static void row_seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };

	FAULT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

static void row_modify_ldt(void)
{
	struct user_desc d = { .base_addr = 4096, .limit = 1, .seg_32bit = 1, .useable = 1 };

	/* The call returns 32 bits, which the C library takes for success. */
	FAULT((int)syscall(SYS_modify_ldt, 1, &d, sizeof(d)) < 0 ? -1 : 0);
}

static void row_pidfd(void)
{
	FAULT(syscall(SYS_pidfd_open, getpid(), 0));
}

/* Memory of the process */

#define PAGE		4096UL
#define PAGES		16
/* Where nothing else is, so that it needs page tables of all levels. */
#define FAR		((char *)0x100000000000)

static char *map_at(void *where, size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (where ? MAP_FIXED_NOREPLACE : 0);

	return (char *)MUST(mmap(where, size, PROT_READ | PROT_WRITE, flags, -1, 0));
}

static void row_mmap(void)
{
	FAULT(mmap(FAR, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void row_mmap_file(void)
{
	int fd = MUST(open(DIR "/file", O_RDONLY));

	FAULT(mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0));
}

static void row_mprotect(void)
{
	char *p = map_at(FAR, PAGES * PAGE);

	p[5 * PAGE] = 1;
	FAULT(mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ));
}

static void row_munmap(void)
{
	char *p = map_at(FAR, PAGES * PAGE);

	p[PAGE] = 1;
	FAULT(munmap(p + 4 * PAGE, 4 * PAGE));
}

static void row_mremap(void)
{
	char *p = map_at(FAR, PAGES * PAGE);

	memset(p, 1, PAGES * PAGE);
	FAULT(mremap(p, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		     FAR + (1L << 40)));
}

static long brk_and_touch(void)
{
	unsigned long end = syscall(SYS_brk, 0);
	unsigned long new = end + (64UL << 20);

	if ((unsigned long)syscall(SYS_brk, new) != new)
		return -1;
	for (unsigned long p = (end + PAGE) & -PAGE; p < new; p += 8UL << 20)
		*(volatile char *)p = 1;
	return 0;
}

static void row_brk(void)
{
	FAULT(brk_and_touch());
}

/* A fault that fails for want of memory is taken again: no errno. */
static long touch(char *p)
{
	*(volatile char *)p = 1;
	return 0;
}

static void row_page_touch(void)
{
	char *p = map_at(FAR, PAGES * PAGE);

	FAULT(touch(p));
}

static void row_populate(void)
{
	char *p = map_at(FAR, PAGES * PAGE);

	FAULT(madvise(p, PAGES * PAGE, MADV_POPULATE_WRITE));
}

static void row_madvise(void)
{
	char *p = map_at(FAR, PAGES * PAGE);

	p[5 * PAGE] = 1;
	FAULT(madvise(p + 4 * PAGE, 4 * PAGE, MADV_DONTFORK));
}

/* PR_SET_VMA: the middle gets a name, and becomes a mapping of its own. */
static void row_prctl(void)
{
	char *p = map_at(FAR, PAGES * PAGE);

	FAULT(prctl(0x53564d41, 0UL, p + 4 * PAGE, 4 * PAGE, "kmem_fail"));
}

static void row_userfaultfd(void)
{
	shut(FAULT(syscall(SYS_userfaultfd, O_CLOEXEC)));
}

/* Namespaces */

static void row_newuser(void)
{
	FAULT(unshare(CLONE_NEWUSER));
}

static void row_newns(void)
{
	FAULT(unshare(CLONE_NEWNS));
}

static void row_newuts(void)
{
	FAULT(unshare(CLONE_NEWUTS));
}

static void row_newipc(void)
{
	FAULT(unshare(CLONE_NEWIPC));
}

static void row_newpid(void)
{
	FAULT(unshare(CLONE_NEWPID));
}

static void row_newnet(void)
{
	FAULT(unshare(CLONE_NEWNET));
}

static void row_newcgroup(void)
{
	FAULT(unshare(CLONE_NEWCGROUP));
}

static void row_newtime(void)
{
	FAULT(unshare(CLONE_NEWTIME));
}

/* Mounts, all of them in the namespace of this program */

static void row_mount(void)
{
	if (FAULT(mount("kmem_fail", DIR "/dir", "tmpfs", 0, "size=64k")) == 0)
		MUST(umount2(DIR "/dir", 0));
}

static void row_bind(void)
{
	if (FAULT(mount(DIR "/dir", DIR "/dir2", NULL, MS_BIND, NULL)) == 0)
		MUST(umount2(DIR "/dir2", 0));
}

static void row_umount(void)
{
	MUST(mount(DIR "/dir", DIR "/dir2", NULL, MS_BIND, NULL));
	if (FAULT(umount2(DIR "/dir2", 0)) < 0)
		MUST(umount2(DIR "/dir2", 0));
}

static long do_fsopen(int *fd)
{
	fd[0] = syscall(SYS_fsopen, "tmpfs", 0);
	if (fd[0] < 0 ||
	    syscall(SYS_fsconfig, fd[0], 1 /* FSCONFIG_SET_STRING */, "size", "64k", 0) ||
	    syscall(SYS_fsconfig, fd[0], 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0))
		return -1;
	fd[1] = syscall(SYS_fsmount, fd[0], 0, 0);
	return fd[1];
}

static void row_fsopen(void)
{
	int fd[2] = { -1, -1 };

	FAULT(do_fsopen(fd));
	shut(fd[1]);
	shut(fd[0]);
}

static long do_open_tree(int *fd)
{
	*fd = syscall(SYS_open_tree, AT_FDCWD, DIR "/dir", 1 /* OPEN_TREE_CLONE */);
	if (*fd < 0)
		return -1;
	return syscall(SYS_move_mount, *fd, "", AT_FDCWD, DIR "/dir2",
		       4 /* MOVE_MOUNT_F_EMPTY_PATH */);
}

static void row_open_tree(void)
{
	int fd = -1;

	if (FAULT(do_open_tree(&fd)) == 0)
		MUST(umount2(DIR "/dir2", MNT_DETACH));
	shut(fd);
}

/* Terminals */

static void row_ptmx(void)
{
	shut(FAULT(open("/dev/ptmx", O_RDWR | O_NOCTTY)));
}

static long open_and_set(const char *name, int *fd)
{
	struct termios t;

	*fd = open(name, O_RDWR | O_NOCTTY);
	if (*fd < 0 || tcgetattr(*fd, &t) < 0)
		return -1;
	t.c_lflag ^= ECHO;
	return tcsetattr(*fd, TCSANOW, &t);
}

static void row_pts(void)
{
	int master = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY)), fd = -1, none = 0;
	char name[32];
	unsigned int number;

	MUST(ioctl(master, TIOCSPTLCK, &none));
	MUST(ioctl(master, TIOCGPTN, &number));
	snprintf(name, sizeof(name), "/dev/pts/%u", number);
	FAULT(open_and_set(name, &fd));
	shut(fd);
	close(master);
}

/* Requests that wait, programs in the kernel, events */

static void row_io_setup(void)
{
	aio_context_t ctx = 0;

	FAULT(syscall(SYS_io_setup, 16, &ctx));
}

static void row_io_submit(void)
{
	struct iocb cb = { .aio_lio_opcode = 5 /* IOCB_CMD_POLL */, .aio_buf = POLLIN };
	struct iocb *cbs[] = { &cb };
	aio_context_t ctx = 0;
	int p[2];

	MUST(pipe(p));
	cb.aio_fildes = p[0];
	MUST(syscall(SYS_io_setup, 16, &ctx));
	FAULT(syscall(SYS_io_submit, ctx, 1, cbs));
}

static void row_uring_setup(void)
{
	struct io_uring_params p = { };

	FAULT(syscall(SYS_io_uring_setup, 4, &p));
}

static void fault_request(struct io_uring_sqe request)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
	struct io_uring_params u = { };
	struct io_uring_sqe *sqe;
	char *ring;
	int fd;

	fd = MUST(syscall(SYS_io_uring_setup, 4, &u));
	ring = (char *)MUST(mmap(NULL, u.sq_off.array + 4 * u.sq_entries, prot, flags, fd,
				 IORING_OFF_SQ_RING));
	sqe = (void *)MUST(mmap(NULL, u.sq_entries * sizeof(*sqe), prot, flags, fd,
				IORING_OFF_SQES));
	*sqe = request;
	*(uint32_t *)(ring + u.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(ring + u.sq_off.tail), 1, __ATOMIC_RELEASE);
	FAULT(syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0));
}

static void row_uring_poll(void)
{
	int p[2];

	MUST(pipe(p));
	fault_request((struct io_uring_sqe) {
		.opcode = IORING_OP_POLL_ADD,
		.fd = p[0],
		.poll32_events = POLLIN,
	});
}

static void row_uring_readv(void)
{
	struct iovec iov[16];
	char byte;
	int p[2];

	MUST(pipe(p));
	for (int i = 0; i < 16; i++)
		iov[i] = (struct iovec) { &byte, 1 };
	fault_request((struct io_uring_sqe) {
		.opcode = IORING_OP_READV,
		.fd = p[0],
		.addr = (unsigned long)iov,
		.len = 16,
	});
}

static void row_uring_setxattr(void)
{
	static char value[20000];

	fault_request((struct io_uring_sqe) {
		.opcode = IORING_OP_FSETXATTR,
		/* It goes with the process, and so does the attribute. */
		.fd = MUST(open(DIR, O_TMPFILE | O_RDWR, 0600)),
		.addr = (unsigned long)"user.row",
		.addr2 = (unsigned long)value,
		.len = sizeof(value),
	});
}

static long map_create(unsigned int type)
{
	union bpf_attr a = { .map_type = type, .key_size = 4, .value_size = 64, .max_entries = 32 };

	return syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
}

static void row_bpf_hash(void)
{
	shut(FAULT(map_create(BPF_MAP_TYPE_HASH)));
}

static void row_bpf_array(void)
{
	shut(FAULT(map_create(BPF_MAP_TYPE_ARRAY)));
}

static void row_bpf_prog(void)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr a = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2 };

	a.insns = (uintptr_t)insns;
	a.license = (uintptr_t)"GPL";
	shut(FAULT(syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a))));
}

static void row_perf_event(void)
{
	struct perf_event_attr a = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(a),
				     .config = PERF_COUNT_SW_PAGE_FAULTS };

	FAULT(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}

#define FRESH	1	/* a process for each time, see above */
#define EXEC	4	/* the process may become another program, or get any signal */

static const struct row {
	const char *name;
	void (*run)(void);
	int flags;
} rows[] = {
	{ "pipe", row_pipe, 0 },
	{ "write to a pipe", row_pipe_write, 0 },
	{ "open", row_open, 0 },
	{ "openat of a new file", row_openat_new, 0 },
	{ "setxattr", row_setxattr, 0 },
	{ "dup2 to a high number", row_dup2, FRESH },
	{ "epoll_create", row_epoll_create, 0 },
	{ "epoll_ctl", row_epoll_ctl, 0 },
	{ "eventfd", row_eventfd, 0 },
	{ "timerfd_create", row_timerfd, 0 },
	{ "signalfd", row_signalfd, 0 },
	{ "inotify_init", row_inotify_init, 0 },
	{ "inotify_add_watch", row_inotify_add, 0 },
	{ "fanotify_init", row_fanotify_init, 0 },
	{ "fanotify_mark", row_fanotify_mark, 0 },
	{ "memfd_create", row_memfd, 0 },
	{ "flock", row_flock, 0 },
	{ "fcntl lock", row_posix_lock, 0 },
	{ "fcntl OFD lock", row_ofd_lock, 0 },
	{ "fcntl lease", row_lease, 0 },
	{ "poll", row_poll, 0 },
	{ "ppoll", row_ppoll, 0 },
	{ "select", row_select, 0 },
	{ "semget", row_semget, 0 },
	{ "semop", row_semop, 0 },
	{ "semop with SEM_UNDO", row_semop_undo, FRESH },
	{ "msgget", row_msgget, 0 },
	{ "msgsnd", row_msgsnd, 0 },
	{ "shmget", row_shmget, 0 },
	{ "shmat", row_shmat, FRESH },
	{ "mq_open", row_mq_open, 0 },
	{ "timer_create", row_timer_create, 0 },
	{ "rt_sigqueueinfo", row_sigqueue, 0 },
	{ "socket", row_socket, 0 },
	{ "socketpair", row_socketpair, 0 },
	{ "unix connect", row_unix_connect, 0 },
	{ "unix accept", row_unix_accept, 0 },
	{ "sendmsg with SCM_RIGHTS", row_scm_rights, 0 },
	{ "tcp socket", row_tcp_socket, 0 },
	{ "tcp listen", row_tcp_listen, 0 },
	{ "tcp connect", row_tcp_connect, 0 },
	{ "tcp accept", row_tcp_accept, 0 },
	{ "fork", row_fork, FRESH },
	{ "vfork", row_vfork, FRESH },
	{ "clone of a thread", row_thread, FRESH },
	{ "execve", row_execve, FRESH | EXEC },
	{ "setgroups", row_setgroups, FRESH },
	{ "setresuid", row_setresuid, FRESH },
	{ "keyctl of a session keyring", row_keyctl, FRESH },
	{ "add_key", row_add_key, FRESH },
	{ "chroot", row_chroot, FRESH },
	{ "chdir", row_chdir, FRESH },
	{ "seccomp filter", row_seccomp, FRESH },
	{ "modify_ldt", row_modify_ldt, FRESH },
	{ "pidfd_open", row_pidfd, FRESH },
	{ "mmap", row_mmap, FRESH },
	{ "mmap of a file", row_mmap_file, FRESH },
	{ "mprotect in the middle", row_mprotect, FRESH },
	{ "munmap in the middle", row_munmap, FRESH },
	{ "mremap", row_mremap, FRESH },
	{ "brk", row_brk, FRESH },
	{ "page fault", row_page_touch, FRESH },
	{ "madvise that populates", row_populate, FRESH },
	{ "madvise in the middle", row_madvise, FRESH },
	{ "prctl with a name for the middle", row_prctl, FRESH },
	{ "userfaultfd", row_userfaultfd, 0 },
	{ "unshare of a user namespace", row_newuser, FRESH },
	{ "unshare of a mount namespace", row_newns, FRESH },
	{ "unshare of a UTS namespace", row_newuts, FRESH },
	{ "unshare of an IPC namespace", row_newipc, FRESH },
	{ "unshare of a PID namespace", row_newpid, FRESH },
	{ "unshare of a network namespace", row_newnet, FRESH },
	{ "unshare of a cgroup namespace", row_newcgroup, FRESH },
	{ "unshare of a time namespace", row_newtime, FRESH },
	{ "mount of a tmpfs", row_mount, 0 },
	{ "bind mount", row_bind, 0 },
	{ "umount", row_umount, 0 },
	{ "fsopen and fsmount", row_fsopen, 0 },
	{ "open_tree and move_mount", row_open_tree, 0 },
	{ "open of ptmx", row_ptmx, 0 },
	{ "open of a pts and TCSETS", row_pts, 0 },
	{ "io_setup", row_io_setup, FRESH },
	{ "io_submit", row_io_submit, FRESH },
	{ "io_uring_setup", row_uring_setup, FRESH },
	{ "io_uring poll request", row_uring_poll, FRESH },
	{ "io_uring readv request", row_uring_readv, FRESH },
	{ "io_uring setxattr request", row_uring_setxattr, FRESH },
	{ "bpf hash map", row_bpf_hash, 0 },
	{ "bpf array map", row_bpf_array, 0 },
	{ "bpf program", row_bpf_prog, 0 },
	{ "perf_event_open", row_perf_event, FRESH },
};

#define ROWS	(sizeof(rows) / sizeof(rows[0]))

static int tests;

static void result(int good, const char *row, const char *what)
{
	printf("%s %d %s%s%s\n", good ? "ok" : "not ok", ++tests, row, *row ? ": " : "", what);
	fflush(stdout);
}

static void leaked(uint64_t want)
{
	shared->nth = nth;
	shared->before = want;
	shared->held = held();
}

/* In one process, in the beancounter. */
static void sweep_staying(const struct row *row)
{
	uint64_t want;
	int misses = 0;

	attach();
	/* What is kept by the process is there then, and its page tables. */
	row->run();
	row->run();
	want = quiet();
	for (nth = 1; misses < MISSES; nth++) {
		if (nth > MOST) {
			errno = 0;
			die("no end");
		}
		row->run();
		misses = shared->hit ? 0 : misses + 1;
		if (!settled(want)) {
			leaked(want);
			_exit(EXIT_LEAK);
		}
	}
	_exit(0);
}

/* One time, in a process of its own. Whether something failed, or -1. */
static int one_fresh(const struct row *row)
{
	int status, code;
	pid_t pid;

	shared->armed = 0;
	shared->hit = -1;
	pid = MUST(fork());
	if (!pid) {
		attach();
		row->run();
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (!shared->armed)
		return code ? -1 : shared->hit;
	if (row->flags & EXEC && code == EXIT_MISSED)
		return 0;
	/*
	 * A page fault that is refused kills, and so does an exec beyond the point
	 * of no return.
	 */
	if (WIFSIGNALED(status) ? !(row->flags & EXEC) && WTERMSIG(status) != SIGKILL :
	    !(row->flags & EXEC) || (code != EXIT_HIT && code != EXIT_STARTUP))
		return -1;
	shared->faults++;
	shared->failed += code != EXIT_HIT;
	return 1;
}

static int sweep_fresh(const struct row *row, uint64_t want)
{
	int misses = 0, hit;

	for (nth = 1; misses < MISSES; nth++) {
		hit = nth > MOST ? -1 : one_fresh(row);
		if (hit < 0) {
			printf("# %s: allocation %u: did not end as it should\n", row->name, nth);
			return 0;
		}
		misses = hit ? 0 : misses + 1;
		if (!settled(want)) {
			leaked(want);
			return 0;
		}
	}
	return 1;
}

/* Whether all is well; what a leak left is not blamed on the rows that follow. */
static int sweep(const struct row *row)
{
	uint64_t want = held();
	int status, good;
	pid_t pid;

	nth = 0;
	fflush(stdout);
	pid = MUST(fork());
	if (!pid) {
		row->run();
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	if (status) {
		printf("# %s: without a fault: status %#x\n", row->name, status);
		return 0;
	}

	if (row->flags & FRESH) {
		good = sweep_fresh(row, want);
	} else {
		pid = MUST(fork());
		if (!pid)
			sweep_staying(row);
		MUST(waitpid(pid, &status, 0));
		good = !status;
		if (status && status != EXIT_LEAK << 8)
			printf("# %s: status %#x\n", row->name, status);
		/* What was a leak in the process may have gone with it. */
		if (good && !settled(want)) {
			leaked(want);
			good = 0;
		}
	}
	if (!good && shared->nth)
		printf("# %s: allocation %u: %llu bytes are held, and were %llu before\n",
		       row->name, shared->nth, (unsigned long long)shared->held,
		       (unsigned long long)shared->before);
	return good;
}

/* Whether for each beancounter what is held is what is found, ours included. */
static int held_is_found(uint64_t *ours)
{
	FILE *f = fopen(CHECK, "r");
	int seen = 0, good = 1;
	char line[256];

	if (!f)
		die(CHECK);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long h, found;
		unsigned int id;

		if (sscanf(line, "%u %llu %llu", &id, &h, &found) != 3)
			continue;
		if (id == ID) {
			seen = 1;
			*ours = found;
		}
		if (h != found) {
			printf("# %u: held %llu, found %llu\n", id, h, found);
			good = 0;
		}
	}
	fclose(f);
	return seen && good;
}

/* A process that has much of everything, until it is killed. */
static pid_t start_owner(void)
{
	int done[2], p[2];
	char byte = 0;
	pid_t pid;

	MUST(pipe(done));
	pid = MUST(fork());
	if (pid) {
		if (read(done[0], &byte, 1) != 1)
			die("owner");
		close(done[0]);
		close(done[1]);
		return pid;
	}
	attach();
	for (int i = 0; i < 16; i++) {
		MUST(pipe(p));
		MUST(write(p[1], &byte, 1));
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
		MUST(eventfd(0, 0));
		MUST(epoll_create1(0));
		MUST(map_create(BPF_MAP_TYPE_ARRAY));
		*map_at(FAR + (i * (1L << 40)), PAGE) = 1;
	}
	MUST(write(done[1], &byte, 1));
	for (;;)
		pause();
}

static void set_up(void)
{
	struct bc_limit l = { BC_MAXVALUE, BC_MAXVALUE };
	int fd;

	/* Without these lines only what may not sleep would fail, and be logged. */
	put(DEBUGFS "failslab/ignore-gfp-wait", "N");
	put(DEBUGFS "failslab/cache-filter", "N");
	put(DEBUGFS "failslab/verbose", "0");
	put(DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N");
	put(DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N");
	put(DEBUGFS "fail_page_alloc/min-order", "0");
	put(DEBUGFS "fail_page_alloc/verbose", "0");
	caches_fd = MUST(open("/proc/sys/vm/drop_caches", O_WRONLY));
	/* No line in the log for each time. */
	MUST(pwrite(caches_fd, "4", 1, 0));

	MUST(unshare(CLONE_NEWNS));
	MUST(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mkdir(DIR, 0700) < 0 && errno != EEXIST)
		die(DIR);
	MUST(mount("kmem_fail", DIR, "tmpfs", 0, NULL));
	MUST(mkdir(DIR "/dir", 0700));
	MUST(mkdir(DIR "/dir2", 0700));
	fd = MUST(open(DIR "/file", O_RDWR | O_CREAT, 0600));
	MUST(ftruncate(fd, PAGES * PAGE));
	close(fd);

	/* The limits keep it while nobody is in it. */
	MUST(syscall(475, ID, BC_KMEMSIZE, &l, sizeof(l), 0));
}

static int named(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], name))
			return 1;
	}
	return argc == 1;
}

int main(int argc, char **argv)
{
	unsigned int faults = 0, failed = 0, charged = 0;
	uint64_t found = 0, empty;
	pid_t owner;
	int good;

	/* The new program of row_execve(). */
	if (argc == 3 && !strcmp(argv[1], "--exec")) {
		char text[16] = "";

		if (pread(atoi(argv[2]), text, sizeof(text) - 1, 0) <= 0)
			die("fail-nth");
		_exit(atoi(text) ? EXIT_MISSED : EXIT_HIT);
	}

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	set_up();
	empty = held();

	for (unsigned int i = 0; i < ROWS; i++) {
		long long start = now_ms();

		if (!named(argc, argv, rows[i].name))
			continue;
		memset(shared, 0, sizeof(*shared));
		good = sweep(&rows[i]);
		printf("# %s: %u faults, %u of them an error; charged for %lld bytes; %lld ms\n",
		       rows[i].name, shared->faults, shared->failed, (long long)shared->bytes,
		       now_ms() - start);
		/* Where nothing failed nothing is shown. */
		result(good && shared->faults, rows[i].name,
		       "held is unchanged after each failed call");
		faults += shared->faults;
		failed += shared->failed;
		charged += shared->bytes > 0;
	}
	printf("# %u faults, %u of them an error; %u of %zu rows are charged\n", faults, failed,
	       charged, ROWS);
	if (argc == 1) {
		result(faults >= FAULTS && failed >= FAILED, "",
		       "there were faults, and calls that failed");
		/* Some need memory for as long as they run only. */
		result(charged >= ROWS / 2, "", "most calls are charged for what they leave");
	}

	owner = start_owner();
	result(held_is_found(&found) && found > 16 * PAGE, "",
	       "what a process holds after that is what is found");
	MUST(kill(owner, SIGKILL));
	MUST(waitpid(owner, NULL, 0));
	good = settled(empty);
	result(good && !empty && held_is_found(&found) && !found, "",
	       "and at the end nothing is held, and nothing is found");
	printf("1..%d\n", tests);
	return 0;
}
