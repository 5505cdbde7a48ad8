// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmem_cases [CASE...]: kernel memory of a tenant in single cases: a page fault
 * that is refused, memory that changes hands, a tight limit, signals, moves, limits that
 * are lowered, CPUs and memory that go, the last ones under load. After each nothing is held.
 *
 * Memory goes only from where no memory of the kernel is: boot with movablecore=.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kmem_bomb.h"

#define FIRST_ID	8101
#define BUFFER		MIB
#define WORKERS		4

/* Shared with the children of a case, and zero when it begins. */
static struct {
	volatile int stop;
	volatile long count[8];
} *shared;

static int must_event(void)
{
	int fd = eventfd(0, 0);

	if (fd < 0)
		die("eventfd");
	return fd;
}

/* Starts a tenant that ends with what main_of() returns. */
static pid_t start(unsigned int id, int (*main_of)(void *), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		die("prctl");
	enter_bc(id);
	exit(main_of(arg));
}

/* Its status, as of waitpid(). */
static int finish(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	return status;
}

static uint64_t held_by(unsigned int id)
{
	return stat_of(id).held;
}

/* Whether what is held comes to at most so much, within ten seconds. */
static int falls_to(unsigned int id, uint64_t bytes)
{
	for (int i = 0; i < 100; i++) {
		if (held_by(id) <= bytes)
			return 1;
		usleep(100000);
	}
	printf("# beancounter %u holds %llu bytes, at most %llu were expected\n", id,
	       (unsigned long long)held_by(id), (unsigned long long)bytes);
	return 0;
}

static int rises_to(unsigned int id, uint64_t bytes)
{
	for (int i = 0; i < 100; i++) {
		if (held_by(id) >= bytes)
			return 1;
		usleep(100000);
	}
	printf("# beancounter %u holds %llu bytes, at least %llu were expected\n", id,
	       (unsigned long long)held_by(id), (unsigned long long)bytes);
	return 0;
}

static void nothing_left(const char *name, unsigned int id)
{
	result(given_back(id) & balanced(id), "%s: all is given back", name);
}

/* A step of a tenant that checks itself: its exit status is the line that failed. */
#define STEP(good) do {							\
	if (!(good)) {							\
		printf("# line %d: not so: %s (errno %d)\n", __LINE__, #good, errno); \
		fflush(stdout);						\
		return 1;						\
	}								\
} while (0)

/* Sparse touch: each page needs a page table of its own. */

static int touch(void *arg)
{
	const int prot = *(int *)arg;
	const struct rlimit cpu = { 10, 20 };
	const long step = 2 * MIB, n = 8192;
	volatile char *p = mmap(NULL, n * step, prot,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	STEP(p != MAP_FAILED && prctl(PR_SET_NAME, "kmem_toucher") == 0);
	/* One that tries for ever ends, too: late, and by SIGXCPU. */
	STEP(setrlimit(RLIMIT_CPU, &cpu) == 0);
	for (long i = 0; i < n; i++) {
		if (prot & PROT_WRITE)
			p[i * step] = 1;
		else
			(void)p[i * step];
	}
	return 0;
}

/* A stack that grows by its first page needs an anon_vma. */
static int grow(void *arg)
{
	const unsigned int id = *(unsigned int *)arg;
	const struct rlimit cpu = { 10, 20 };
	char *hole = mmap(NULL, 16 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char *stack;
	uint64_t full;

	STEP(hole != MAP_FAILED && munmap(hole, 16 * MIB) == 0);
	stack = mmap(hole + 8 * MIB, 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	STEP(stack != MAP_FAILED && prctl(PR_SET_NAME, "kmem_stack") == 0);
	STEP(setrlimit(RLIMIT_CPU, &cpu) == 0);
	full = held_by(id);
	must_limit(id, full, full);
	stack[-1] = 1;
	return 0;
}

/* Whether the log has a line with the text, from where fd stands. */
static int logged(int fd, const char *text)
{
	char line[2048];

	for (int i = 0; i < 20; i++) {
		ssize_t n;

		while ((n = read(fd, line, sizeof(line) - 1)) > 0) {
			line[n] = 0;
			line[strcspn(line, "\n")] = 0;
			if (strstr(line, text)) {
				printf("# log: %s\n", line);
				return 1;
			}
		}
		/* EPIPE: older lines have been overwritten. */
		if (errno != EAGAIN && errno != EPIPE)
			die("/dev/kmsg");
		usleep(100000);
	}
	return 0;
}

/* The tenant does what it is killed for, and the log then says so with this text. */
static void kill_case(const char *name, unsigned int id, int (*main_of)(void *), void *arg,
		      const char *text)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	struct rusage usage;
	int status;
	double cpu;
	pid_t pid;

	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		die("/dev/kmsg");
	must_limit(id, 4 * MIB, 4 * MIB);
	pid = start(id, main_of, arg);
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4");
	cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
	      (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	printf("# figure: %s: status %#x after %.2f s of CPU time\n", name, status, cpu);
	result(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: killed", name);
	result(cpu < 1, "%s: in less than a second of CPU time", name);
	result(logged(log, text), "%s: the log says it", name);
	close(log);
	nothing_left(name, id);
}

static void case_touch_read(const char *name, unsigned int id)
{
	int prot = PROT_READ;

	kill_case(name, id, touch, &prot, "(kmem_toucher) killed: kernel memory for a page fault");
}

static void case_touch_write(const char *name, unsigned int id)
{
	int prot = PROT_READ | PROT_WRITE;

	kill_case(name, id, touch, &prot, "(kmem_toucher) killed: kernel memory for a page fault");
}

static void case_stack(const char *name, unsigned int id)
{
	kill_case(name, id, grow, &id, "(kmem_stack) killed: kernel memory for a stack");
}

/* Pages of pipes that are shared, moved, borrowed and given away. */

/* A pipe with room for BUFFER. */
static int big_pipe(int fd[2])
{
	return pipe(fd) == 0 && fcntl(fd[1], F_SETPIPE_SZ, BUFFER) == BUFFER ? 0 : -1;
}

static int move_all(int from, int to)
{
	long left = BUFFER;

	while (left) {
		ssize_t n = splice(from, NULL, to, NULL, left, SPLICE_F_MOVE);

		if (n <= 0)
			return -1;
		left -= n;
	}
	return 0;
}

static int pipes(void *arg)
{
	const unsigned int id = *(unsigned int *)arg;
	const int null = open("/dev/null", O_WRONLY), file = open("/tmp", O_RDWR | O_TMPFILE, 0600);
	static char data[BUFFER] __attribute__((aligned(4096))), copy[BUFFER];
	struct iovec user = { .iov_base = data, .iov_len = BUFFER / 2 };
	uint64_t before, full, now;
	int a[2], b[2];
	loff_t at = 0;

	for (long i = 0; i < BUFFER; i++)
		data[i] = i * 7 + i / 4096;
	memset(copy, 0, sizeof(copy));
	STEP(null >= 0 && file >= 0);
	/* Once, for what is made at the first use. */
	STEP(write(file, data, BUFFER) == BUFFER && ftruncate(file, 0) == 0);
	STEP(lseek(file, 0, SEEK_SET) == 0 && balanced(id));
	before = held_by(id);

	STEP(big_pipe(a) == 0 && big_pipe(b) == 0);
	STEP(write(a[1], data, BUFFER) == BUFFER);
	full = held_by(id);
	printf("# pipes: a MiB in a pipe is %llu bytes\n", (unsigned long long)(full - before));
	STEP(full >= before + BUFFER && full < before + BUFFER + BUFFER / 4);

	/* Pages in two pipes are charged once, and as long as one of them has them. */
	STEP(tee(a[0], b[1], BUFFER, 0) == BUFFER);
	STEP(held_by(id) < full + 64 * KIB);
	STEP(move_all(a[0], null) == 0 && close(a[0]) == 0 && close(a[1]) == 0);
	STEP(held_by(id) >= before + BUFFER);
	STEP(balanced(id));

	/* Into a file, which may take the pages themselves. */
	STEP(move_all(b[0], file) == 0);
	STEP(pread(file, copy, BUFFER, 0) == BUFFER && !memcmp(data, copy, BUFFER));
	STEP(balanced(id));
	now = held_by(id);
	printf("# pipes: with a MiB in a file %lld bytes more than before\n",
	       (long long)(now - before));
	STEP(now < before + BUFFER / 4);

	/* Pages of the page cache and of the user are no kernel memory. */
	STEP(big_pipe(a) == 0);
	full = held_by(id);
	STEP(splice(file, &at, a[1], NULL, 64 * KIB, 0) > 0);
	STEP(held_by(id) < full + 32 * KIB);
	STEP(vmsplice(b[1], &user, 1, 0) > 0);
	STEP(held_by(id) < full + 32 * KIB);
	STEP(vmsplice(a[1], &user, 1, SPLICE_F_GIFT | SPLICE_F_NONBLOCK) > 0);
	STEP(held_by(id) < full + 32 * KIB);
	STEP(balanced(id));

	for (int i = 0; i < 2; i++)
		STEP(close(a[i]) == 0 && close(b[i]) == 0);
	STEP(close(file) == 0);
	STEP(falls_to(id, before));
	return 0;
}

static void case_pipes(const char *name, unsigned int id)
{
	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	result(!finish(start(id, pipes, &id)), "%s: charged while the kernel has the pages", name);
	nothing_left(name, id);
}

/*
 * A file system in user space, whose server answers a read with pages of a pipe:
 * the kernel takes them into the page cache, where they are charged no more, unless
 * another pipe has them, too.
 */

#define SERVED	2	/* the only file: the number of its inode */

struct server {
	int fd;			/* of /dev/fuse */
	int answer[2], kept[2];	/* pipes: for an answer, and for what stays */
	const char *data;
	long moved, shared;	/* bytes in answers */
};

static int answer(struct server *sv, uint64_t unique, int error, const void *body, size_t size)
{
	struct fuse_out_header head = {
		.len = sizeof(head) + size,
		.error = error,
		.unique = unique,
	};
	struct iovec iov[2] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)body, .iov_len = size },
	};

	return writev(sv->fd, iov, size ? 2 : 1) == head.len ? 0 : -1;
}

/* Pages of the second half of the file are in another pipe, too. */
static int answer_read(struct server *sv, uint64_t unique, const struct fuse_read_in *in)
{
	const long left = in->offset < BUFFER ? BUFFER - in->offset : 0;
	const long size = in->size < left ? in->size : left;
	const struct fuse_out_header head = { .len = sizeof(head) + size, .unique = unique };

	if (write(sv->answer[1], &head, sizeof(head)) != sizeof(head) ||
	    write(sv->answer[1], sv->data + in->offset, size) != size)
		return -1;
	if (in->offset >= BUFFER / 2) {
		if (tee(sv->answer[0], sv->kept[1], head.len, 0) != head.len)
			return -1;
		sv->shared += size;
	} else {
		sv->moved += size;
	}
	return splice(sv->answer[0], NULL, sv->fd, NULL, head.len, SPLICE_F_MOVE) == head.len ?
	       0 : -1;
}

static int serve(struct server *sv)
{
	static char request[256 * KIB];
	const struct fuse_in_header *in = (void *)request;
	const void *body = request + sizeof(*in);
	struct fuse_attr attr = { .nlink = 1 };

	if (read(sv->fd, request, sizeof(request)) < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOENT ? 0 : -1;
	attr.ino = in->nodeid;
	attr.mode = in->nodeid == SERVED ? S_IFREG | 0444 : S_IFDIR | 0755;
	attr.size = in->nodeid == SERVED ? BUFFER : 0;

	switch (in->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *init = body;
		struct fuse_init_out out = {
			.major = FUSE_KERNEL_VERSION,
			.minor = FUSE_KERNEL_MINOR_VERSION,
			.max_readahead = init->max_readahead,
			.max_background = 16,
			.congestion_threshold = 12,
			.max_write = 128 * KIB,
			.time_gran = 1,
		};

		return answer(sv, in->unique, 0, &out, sizeof(out));
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = {
			.nodeid = SERVED,
			.entry_valid = 3600,
			.attr_valid = 3600,
			.attr = attr,
		};

		if (strcmp(body, "data"))
			return answer(sv, in->unique, -ENOENT, NULL, 0);
		out.attr.ino = SERVED;
		out.attr.mode = S_IFREG | 0444;
		out.attr.size = BUFFER;
		return answer(sv, in->unique, 0, &out, sizeof(out));
	}
	case FUSE_GETATTR: {
		const struct fuse_attr_out out = { .attr_valid = 3600, .attr = attr };

		return answer(sv, in->unique, 0, &out, sizeof(out));
	}
	case FUSE_OPEN: {
		const struct fuse_open_out out = { .open_flags = FOPEN_KEEP_CACHE };

		return answer(sv, in->unique, 0, &out, sizeof(out));
	}
	case FUSE_READ:
		return answer_read(sv, in->unique, body);
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return answer(sv, in->unique, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return 0;
	default:
		return answer(sv, in->unique, -ENOSYS, NULL, 0);
	}
}

static int read_served(const char *path, const char *data)
{
	static char copy[64 * KIB];
	const int fd = open(path, O_RDONLY);

	STEP(fd >= 0);
	for (long at = 0; at < BUFFER; at += sizeof(copy)) {
		STEP(pread(fd, copy, sizeof(copy), at) == sizeof(copy));
		STEP(!memcmp(copy, data + at, sizeof(copy)));
	}
	STEP(close(fd) == 0);
	return 0;
}

/*
 * The file system has locked before there is a record: it cannot be refused any
 * more. To unlock one byte in two takes a record for each: it is asked for before.
 */
static int lock_served(const char *path, unsigned int id)
{
	const uint64_t bound = held_by(id) + 64 * KIB;
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	const int fd = open(path, O_RDONLY);
	long records = 0;

	STEP(fd >= 0);
	STEP(fcntl(fd, F_SETLK, &lock) == 0);
	must_limit(id, bound, bound);
	lock.l_type = F_UNLCK;
	lock.l_len = 1;
	for (lock.l_start = 1; lock.l_start < BUFFER; lock.l_start += 2) {
		if (fcntl(fd, F_SETLK, &lock) < 0)
			break;
		records++;
	}
	STEP(errno == ENOLCK && records > 20 && records < 2000);
	STEP(held_by(id) < bound + 4 * KIB);
	lock.l_type = F_RDLCK;
	lock.l_start = BUFFER;
	STEP(fcntl(fd, F_SETLK, &lock) < 0 && errno == ENOLCK);
	/* All of it can be unlocked at any time. */
	lock.l_type = F_UNLCK;
	lock.l_start = 0;
	lock.l_len = 0;
	STEP(fcntl(fd, F_SETLK, &lock) == 0);
	STEP(held_by(id) < bound - 16 * KIB);
	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	STEP(close(fd) == 0);
	return 0;
}

static int fuse(void *arg)
{
	const unsigned int id = *(unsigned int *)arg;
	struct server sv = { .fd = open("/dev/fuse", O_RDWR | O_NONBLOCK) };
	static char data[BUFFER];
	char options[128];
	uint64_t before;
	int status;
	pid_t pid;

	for (long i = 0; i < BUFFER; i++)
		data[i] = i * 11 + i / 4096;
	sv.data = data;
	STEP(sv.fd >= 0 && big_pipe(sv.answer) == 0 && big_pipe(sv.kept) == 0);
	STEP(unshare(CLONE_NEWNS) == 0);
	STEP(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	STEP(mount("none", "/mnt", "tmpfs", 0, NULL) == 0);
	STEP(mkdir("/mnt/fuse", 0755) == 0);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", sv.fd);
	STEP(mount("served", "/mnt/fuse", "fuse", MS_NOSUID | MS_NODEV, options) == 0);
	before = held_by(id);

	fflush(stdout);
	pid = fork();
	STEP(pid >= 0);
	if (!pid)
		_exit(read_served("/mnt/fuse/data", data) || lock_served("/mnt/fuse/data", id));
	do {
		struct pollfd event = { .fd = sv.fd, .events = POLLIN };

		if (poll(&event, 1, 20) > 0)
			STEP(serve(&sv) == 0);
	} while (waitpid(pid, &status, WNOHANG) == 0);
	STEP(!status);
	printf("# fuse: %ld bytes given away, %ld of which a pipe has, too\n",
	       sv.moved + sv.shared, sv.shared);
	STEP(sv.moved == BUFFER / 2 && sv.shared == BUFFER / 2);

	/* Only what is in the second pipe. */
	STEP(falls_to(id, before + BUFFER / 2 + BUFFER / 4));
	STEP(held_by(id) >= before + BUFFER / 2);
	STEP(balanced(id));
	STEP(close(sv.kept[0]) == 0 && close(sv.kept[1]) == 0);
	STEP(falls_to(id, before + BUFFER / 4));
	STEP(balanced(id));
	STEP(close(sv.answer[0]) == 0 && close(sv.answer[1]) == 0);
	return 0;
}

static void case_fuse(const char *name, unsigned int id)
{
	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	result(!finish(start(id, fuse, &id)),
	       "%s: pages that the page cache takes are charged no more, locks are refused", name);
	nothing_left(name, id);
}

/* The local descriptor table. */

/* Its error is an int in a long: the C library takes it for a success. */
static int set_ldt(unsigned int entry)
{
	struct user_desc desc = {
		.entry_number = entry,
		.base_addr = entry,
		.limit = 1,
		.seg_32bit = 1,
		.useable = 1,
	};

	return syscall(SYS_modify_ldt, 1, &desc, sizeof(desc));
}

static int ldt(void *arg)
{
	static char before[LDT_ENTRIES * LDT_ENTRY_SIZE], after[LDT_ENTRIES * LDT_ENTRY_SIZE];
	const unsigned int id = *(unsigned int *)arg;
	const uint64_t idle = held_by(id);
	uint64_t full;

	memset(before, 0, sizeof(before));
	memset(after, 0, sizeof(after));
	for (int i = 0; i < LDT_ENTRIES; i++)
		STEP(set_ldt(i) == 0);
	/* Older copies are freed by a worker. */
	STEP(falls_to(id, idle + 3 * sizeof(before) / 2));
	full = held_by(id);
	printf("# modify_ldt: %llu bytes\n", (unsigned long long)(full - idle));
	STEP(full >= idle + sizeof(before) && full < idle + 4 * sizeof(before));
	STEP(syscall(SYS_modify_ldt, 0, before, sizeof(before)) == sizeof(before));

	/* Each change is a copy. Without room for it the old one stays. */
	must_limit(id, full + sizeof(before) / 2, full + sizeof(before) / 2);
	STEP(set_ldt(0) == -ENOMEM);
	STEP(syscall(SYS_modify_ldt, 0, after, sizeof(after)) == sizeof(after));
	STEP(!memcmp(before, after, sizeof(before)));
	STEP(falls_to(id, full));
	must_limit(id, full + 2 * sizeof(before), full + 2 * sizeof(before));
	STEP(set_ldt(0) == 0);
	STEP(falls_to(id, full));
	return 0;
}

static void case_ldt(const char *name, unsigned int id)
{
	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	result(!finish(start(id, ldt, &id)), "%s: 8192 entries are charged, one more refused", name);
	nothing_left(name, id);
}

/* Files that are passed to the host, whose sender is gone. */

enum { PASSED = 3 };
union passed {
	char room[CMSG_SPACE(PASSED * sizeof(int))];
	struct cmsghdr align;
};

static int send_files(void *arg)
{
	const int to = *(int *)arg;
	static char data[64 * KIB];
	union passed control;
	struct iovec iov = { .iov_base = data, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	int fd[PASSED];

	memset(data, 'x', sizeof(data));
	STEP(pipe(fd) == 0 && write(fd[1], data, sizeof(data)) == sizeof(data));
	fd[2] = eventfd(5, 0);
	STEP(fd[2] >= 0);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(head), fd, sizeof(fd));
	STEP(sendmsg(to, &msg, 0) == 1);
	return 0;
}

static int receive_files(int from, int fd[PASSED])
{
	char byte;
	union passed control;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *head;

	if (recvmsg(from, &msg, 0) != 1)
		return -1;
	head = CMSG_FIRSTHDR(&msg);
	if (!head || head->cmsg_len != CMSG_LEN(PASSED * sizeof(int)))
		return -1;
	memcpy(fd, CMSG_DATA(head), PASSED * sizeof(int));
	return 0;
}

static void case_passed_files(const char *name, unsigned int id)
{
	int pair[2], fd[PASSED], good;
	uint64_t value = 0;
	char byte = 0;

	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		die("socketpair");
	good = !finish(start(id, send_files, &pair[0]));
	good = good && receive_files(pair[1], fd) == 0;
	result(good, "%s: the host receives them", name);
	/* What goes with the sender is gone by then. */
	sleep(3);
	printf("# %s: %llu bytes are held\n", name, (unsigned long long)held_by(id));
	result(held_by(id) >= 64 * (uint64_t)KIB && balanced(id),
	       "%s: held though the sender is gone", name);
	result(good && read(fd[0], &byte, 1) == 1 && byte == 'x' &&
	       read(fd[2], &value, sizeof(value)) == sizeof(value) && value == 5,
	       "%s: they work", name);
	for (int i = 0; good && i < PASSED; i++)
		close(fd[i]);
	close(pair[0]);
	close(pair[1]);
	nothing_left(name, id);
}

/* Tables of poll() and select(), which are there as long as they block. */

#define POLLED	16000

struct waiter {
	int wake, go, done;
	int with_select;
};

static int wait_for_many(void *arg)
{
	const struct waiter *w = arg;
	static unsigned long set[POLLED / 64], ask[POLLED / 64];
	static struct pollfd polled[POLLED];
	int last = w->done;

	if (w->with_select) {
		while (last < POLLED - 1) {
			last = dup(w->wake);
			STEP(last >= 0);
			set[last / 64] |= 1UL << last % 64;
		}
	}
	for (int i = 0; i < POLLED; i++)
		polled[i] = (struct pollfd) { .fd = w->wake, .events = POLLIN };
	memset(ask, 0, sizeof(ask));
	signal_event(w->done);
	for (int round = 0; round < 2; round++) {
		STEP(wait_event(w->go, 60));
		if (w->with_select) {
			memcpy(ask, set, sizeof(ask));
			STEP(syscall(SYS_select, POLLED, ask, NULL, NULL, NULL) > POLLED / 2);
		} else {
			STEP(poll(polled, POLLED, -1) == POLLED);
		}
		signal_event(w->done);
	}
	STEP(wait_event(w->go, 60));
	return 0;
}

static void wait_case(const char *name, unsigned int id, int with_select)
{
	struct waiter w = {
		.wake = must_event(),
		.go = must_event(),
		.done = must_event(),
		.with_select = with_select,
	};
	const uint64_t room = POLLED * 48ULL;
	const struct rlimit files = { 2 * POLLED, 2 * POLLED };
	int rose = 0, fell = 0, same = 0;
	uint64_t before, blocked, value;
	pid_t pid;

	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		die("setrlimit");
	pid = start(id, wait_for_many, &w);
	if (!wait_event(w.done, 60))
		die("the tenant does not start");
	/* The first round is for what is made once. */
	for (int round = 0; round < 2; round++) {
		before = held_by(id);
		signal_event(w.go);
		rose = rises_to(id, before + room);
		blocked = held_by(id);
		same = balanced(id);
		signal_event(w.wake);
		if (!wait_event(w.done, 60))
			die("the tenant does not wake up");
		/* The next round is to block again. */
		if (read(w.wake, &value, sizeof(value)) != sizeof(value))
			die("eventfd");
		fell = round ? falls_to(id, before) : 1;
		printf("# %s: held %llu before, %llu blocked, %llu after\n", name,
		       (unsigned long long)before, (unsigned long long)blocked,
		       (unsigned long long)held_by(id));
	}
	result(rose && same, "%s: held while it blocks", name);
	result(fell, "%s: no longer held after that", name);
	signal_event(w.go);
	result(!finish(pid), "%s: works", name);
	close(w.wake);
	close(w.go);
	close(w.done);
	nothing_left(name, id);
}

static void case_poll(const char *name, unsigned int id)
{
	wait_case(name, id, 0);
}

static void case_select(const char *name, unsigned int id)
{
	wait_case(name, id, 1);
}

/* Programs that read much, where there is hardly any room. */

static void run(const char *command)
{
	if (system(command) != 0)
		die(command);
}

struct reader {
	const char *const *argv;
	int in, out;
};

static int exec_reader(void *arg)
{
	const struct reader *r = arg;

	STEP(dup2(r->in, 0) == 0 && dup2(r->out, 1) == 1);
	execvp(r->argv[0], (char *const *)r->argv);
	return 127;
}

/*
 * The program waits for its standard input before it reads anything else: it is
 * loaded by then, and the limit gets tight.
 */
static void tight(const char *name, unsigned int id, const char *const *argv, const char *input,
		  ssize_t size, long least)
{
	struct reader r = { .argv = argv };
	struct bc_stat s;
	int in[2], status;
	struct stat out;
	pid_t pid;

	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	/*
	 * What waits in a pipe or a socket for a slow reader would be charged to who
	 * writes; what is in a file is not.
	 */
	if (pipe2(in, O_CLOEXEC) < 0)
		die("pipe");
	r.in = in[0];
	r.out = memfd_create("output", MFD_CLOEXEC);
	if (r.out < 0)
		die("memfd_create");
	pid = start(id, exec_reader, &r);
	close(in[0]);
	do {
		s = stat_of(id);
		sleep(2);
	} while (stat_of(id).held != s.held);
	must_limit(id, s.held + 64 * KIB, s.held + 64 * KIB);
	if (write(in[1], input, size) != size)
		die("write");
	close(in[1]);
	status = finish(pid);
	if (fstat(r.out, &out) < 0)
		die("fstat");
	close(r.out);
	s = stat_of(id);
	printf("# %s: %lld bytes of output, status %#x, limit %llu, maxheld %llu, failcnt %llu\n",
	       name, (long long)out.st_size, status, (unsigned long long)s.limit,
	       (unsigned long long)s.maxheld, (unsigned long long)s.failcnt);
	result(!status && out.st_size >= least, "%s: succeeds", name);
	nothing_left(name, id);
}

/* Of a file system on a disk: holes of a tmpfs do not go through the page cache. */
static void case_cat(const char *name, unsigned int id)
{
	static const char *const argv[] = {
		"sh", "-c", "exec cat - /tmp/disk/big >/dev/null", NULL
	};

	if (mkdir("/tmp/disk", 0700) < 0)
		die("/tmp/disk");
	run("truncate -s 64M /tmp/image && mkfs.ext4 -q -F /tmp/image && "
	    "mount -o loop /tmp/image /tmp/disk && truncate -s 1G /tmp/disk/big");
	tight(name, id, argv, "\n", 1, 0);
	run("umount /tmp/disk && rm /tmp/image && rmdir /tmp/disk");
}

static void case_find(const char *name, unsigned int id)
{
	static const char *const argv[] = { "find", "-files0-from", "-", NULL };
	static const char places[] = "/usr\0/etc\0/var\0/sys";

	tight(name, id, argv, places, sizeof(places), 256 * KIB);
}

/* Load: tasks that take kernel memory of many kinds, and give it back. */

struct load {
	/* Neither memory nor children: no page fault can be refused. */
	int only_files;
	/* Where the limit is in the way. */
	int may_fail;
};

static int worker(void *arg)
{
	const struct load *load = arg;
	unsigned int seed = getpid();
	int fd[64][2], used = 0;
	long done = 0, refused = 0;

	while (!shared->stop) {
		const int what = rand_r(&seed) % (load->only_files ? 4 : 6);
		char *p;
		pid_t pid;
		int good = 1;

		if (used == 64 || (used && rand_r(&seed) % 4 == 0)) {
			for (int n = rand_r(&seed) % used; n >= 0; n--) {
				used--;
				close(fd[used][0]);
				if (fd[used][1] >= 0)
					close(fd[used][1]);
			}
			continue;
		}
		fd[used][1] = -1;
		switch (what) {
		case 0:
			good = pipe2(fd[used], O_NONBLOCK) == 0;
			if (good && write(fd[used][1], "", 1) == 1)
				fcntl(fd[used][1], F_SETPIPE_SZ, 64 * KIB);
			used += good;
			break;
		case 1:
			fd[used][0] = eventfd(0, 0);
			good = fd[used][0] >= 0;
			used += good;
			break;
		case 2:
			good = socketpair(AF_UNIX, SOCK_STREAM, 0, fd[used]) == 0;
			used += good;
			break;
		case 3:
			fd[used][0] = open("/dev/null", O_RDONLY);
			good = fd[used][0] >= 0;
			if (good)
				flock(fd[used][0], LOCK_SH);
			used += good;
			break;
		case 4:
			p = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			good = p != MAP_FAILED;
			for (long at = 0; good && at < 64 * MIB; at += 4 * MIB)
				p[at] = 1;
			if (good)
				munmap(p, 64 * MIB);
			break;
		case 5:
			pid = fork();
			if (!pid)
				_exit(0);
			good = pid > 0 && waitpid(pid, NULL, 0) == pid;
			break;
		}
		done++;
		refused += !good;
	}
	__atomic_fetch_add(&shared->count[0], done, __ATOMIC_RELAXED);
	__atomic_fetch_add(&shared->count[1], refused, __ATOMIC_RELAXED);
	return refused && !load->may_fail;
}

static void start_load(unsigned int id, struct load *load, pid_t pid[WORKERS])
{
	memset(shared, 0, sizeof(*shared));
	for (int i = 0; i < WORKERS; i++)
		pid[i] = start(id, worker, load);
}

/* How many of them failed. */
static int stop_load(const char *name, pid_t pid[WORKERS])
{
	int failed = 0;

	shared->stop = 1;
	for (int i = 0; i < WORKERS; i++)
		failed += finish(pid[i]) != 0;
	printf("# %s: %ld requests, %ld refused\n", name, shared->count[0], shared->count[1]);
	return failed + (shared->count[0] < 1000);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Between the case's beancounter, two more, and the host. */
static void case_moves(const char *name, unsigned int id)
{
	struct load load = { };
	unsigned int seed = 1;
	int pidfd[WORKERS];
	pid_t pid[WORKERS];
	long moves = 0;
	int left = 0, same = 1;
	double end;

	for (int i = 0; i < 3; i++)
		must_limit(id + i, BC_MAXVALUE, BC_MAXVALUE);
	start_load(id, &load, pid);
	for (int i = 0; i < WORKERS; i++) {
		pidfd[i] = syscall(SYS_pidfd_open, pid[i], 0);
		if (pidfd[i] < 0)
			die("pidfd_open");
	}
	/* On a busy machine these take longer. */
	end = now() + 10;
	while (now() < end || (moves <= 500 && now() < end + 50)) {
		unsigned int to = rand_r(&seed) % 4;

		if (syscall(474, to ? id + to - 1 : BCID_HOST, pidfd[rand_r(&seed) % WORKERS], 0) < 0)
			die("set_bcid");
		if (++moves % 1000 == 0)
			same &= balanced(id);
		usleep(500);
	}
	printf("# %s: %ld moves\n", name, moves);
	result(!stop_load(name, pid) && moves > 500, "%s: under load", name);
	result(same, "%s: what is held is what is found", name);
	for (int i = 0; i < WORKERS; i++)
		close(pidfd[i]);
	for (int i = 0; i < 3; i++)
		left += !given_back(id + i);
	left += !balanced(id);
	result(!left, "%s: all is given back", name);
}

#define FILES	2000

static int hold_and_ask(void *arg)
{
	const unsigned int id = *(unsigned int *)arg;
	const struct rlimit files = { 2 * FILES, 2 * FILES };
	int fd[FILES], one;
	uint64_t full, value;

	STEP(setrlimit(RLIMIT_NOFILE, &files) == 0);
	for (int i = 0; i < FILES; i++) {
		fd[i] = eventfd(i + 1, 0);
		STEP(fd[i] >= 0);
	}
	/* The load and what it holds changes: only what is here is sure. */
	full = FILES * 200;
	STEP(held_by(id) > full);
	for (int round = 0; round < 10; round++) {
		must_limit(id, full / 2, full / 2);
		for (int i = 0; i < 100; i++) {
			errno = 0;
			STEP(eventfd(0, 0) < 0 && errno == ENOMEM);
		}
		STEP(held_by(id) > full);
		for (int i = 0; i < FILES; i++) {
			STEP(read(fd[i], &value, sizeof(value)) == sizeof(value));
			STEP(value == (uint64_t)i + 1);
			STEP(write(fd[i], &value, sizeof(value)) == sizeof(value));
		}
		must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
		one = eventfd(0, 0);
		STEP(one >= 0 && close(one) == 0);
		/* The load goes on. */
		usleep(100000);
	}
	return 0;
}

static void case_lowered_limit(const char *name, unsigned int id)
{
	struct load load = { .only_files = 1, .may_fail = 1 };
	pid_t pid[WORKERS];
	int status, same = 1;
	struct bc_stat s;
	pid_t holder;

	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	start_load(id, &load, pid);
	sleep(1);
	holder = start(id, hold_and_ask, &id);
	while (waitpid(holder, &status, WNOHANG) == 0) {
		same &= balanced(id);
		usleep(100000);
	}
	s = stat_of(id);
	printf("# %s: failcnt %llu\n", name, (unsigned long long)s.failcnt);
	result(!status, "%s: nothing is lost, new requests are refused until it is raised", name);
	result(!stop_load(name, pid) && shared->count[1] > 0 && s.failcnt >= 1000,
	       "%s: under load, which is refused, too", name);
	result(same, "%s: what is held is what is found", name);
	nothing_left(name, id);
}

static volatile char *forbidden;
static volatile int faults;

static void fault_handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig == SIGSEGV && info->si_code == SEGV_ACCERR && info->si_addr == forbidden)
		faults++;
	mprotect((void *)forbidden, 4096, PROT_READ);
}

static int fault_and_queue(void *arg)
{
	const struct sigaction action = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO };
	const unsigned int id = *(unsigned int *)arg;
	const union sigval value = { };
	sigset_t blocked;

	forbidden = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	STEP(forbidden != MAP_FAILED);
	STEP(sigaction(SIGSEGV, &action, NULL) == 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGRTMIN);
	STEP(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
	STEP(sigqueue(getpid(), SIGRTMIN, value) == 0);
	for (int round = 0; round < 100; round++) {
		STEP(mprotect((void *)forbidden, 4096, PROT_NONE) == 0);
		must_limit(id, 1, 1);
		(void)*forbidden;
		errno = 0;
		STEP(sigqueue(getpid(), SIGRTMIN, value) < 0 && errno == EAGAIN);
		must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
		STEP(faults == round + 1);
	}
	return 0;
}

static void case_signals(const char *name, unsigned int id)
{
	int status;
	pid_t pid;

	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	pid = start(id, fault_and_queue, &id);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	result(!status, "%s: none is lost that cannot be refused, queued ones are refused", name);
	result(stat_of(id).failcnt >= 100, "%s: each refusal is counted", name);
	nothing_left(name, id);
}

static void case_cpu_off(const char *name, unsigned int id)
{
	static const char online[] = "/sys/devices/system/cpu/cpu1/online";
	struct load load = { };
	pid_t pid[WORKERS];
	int same = 1;

	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	start_load(id, &load, pid);
	for (int i = 0; i < 5; i++) {
		usleep(300000);
		put(online, "0");
		usleep(300000);
		same &= balanced(id);
		put(online, "1");
	}
	usleep(300000);
	result(!stop_load(name, pid), "%s: under load", name);
	result(same, "%s: what is held is what is found", name);
	nothing_left(name, id);
}

#define MEMORY	"/sys/devices/system/memory/"

/* Asks each block of memory for a state; how many bytes took it, and which in took. */
static long ask_memory(const char *state, const char *from, unsigned char took[256])
{
	unsigned long block_size = 0;
	char path[64], is[16];
	long bytes = 0;
	FILE *f;

	f = fopen(MEMORY "block_size_bytes", "r");
	if (!f || fscanf(f, "%lx", &block_size) != 1)
		die(MEMORY);
	fclose(f);
	for (int i = 255; i >= 0; i--) {
		int fd, n;

		snprintf(path, sizeof(path), MEMORY "memory%d/state", i);
		fd = open(path, O_RDWR);
		if (fd < 0)
			continue;
		n = read(fd, is, sizeof(is) - 1);
		is[n > 0 ? n : 0] = 0;
		is[strcspn(is, "\n")] = 0;
		if (!strcmp(is, from) && (strcmp(from, "offline") || took[i]) &&
		    pwrite(fd, state, strlen(state), 0) > 0) {
			took[i] = 1;
			bytes += block_size;
		}
		close(fd);
	}
	return bytes;
}

/*
 * Memory goes, with what the kernel keeps for each page: whom it is charged to.
 * When it is back the kernel may use it, too, and what is charged gets there.
 */
static void case_memory_off(const char *name, unsigned int id)
{
	unsigned char blocks[256] = { };
	struct load load = { };
	pid_t pid[WORKERS];
	long off, on;
	int same = 1;

	must_limit(id, BC_MAXVALUE, BC_MAXVALUE);
	start_load(id, &load, pid);
	usleep(500000);
	off = ask_memory("offline", "online", blocks);
	for (int i = 0; i < 5; i++) {
		usleep(200000);
		same &= balanced(id);
	}
	on = ask_memory("online_kernel", "offline", blocks);
	for (int i = 0; i < 5; i++) {
		usleep(200000);
		same &= balanced(id);
	}
	printf("# %s: %ld MiB off, %ld MiB on again\n", name, off / MIB, on / MIB);
	result(off > 0 && on == off, "%s: all that goes comes back", name);
	result(!stop_load(name, pid), "%s: under load", name);
	result(same, "%s: what is held is what is found", name);
	nothing_left(name, id);
}

static const struct {
	const char *name;
	void (*run)(const char *name, unsigned int id);
} cases[] = {
	{ "sparse touch, reading", case_touch_read },
	{ "sparse touch, writing", case_touch_write },
	{ "growing stack", case_stack },
	{ "pipes", case_pipes },
	{ "fuse", case_fuse },
	{ "modify_ldt", case_ldt },
	{ "passed files", case_passed_files },
	{ "blocked poll", case_poll },
	{ "blocked select", case_select },
	{ "cat at a tight limit", case_cat },
	{ "find at a tight limit", case_find },
	{ "moves", case_moves },
	{ "lowered limit", case_lowered_limit },
	{ "signals at the limit", case_signals },
	{ "cpu off and on", case_cpu_off },
	{ "memory off and on", case_memory_off },
};

int main(int argc, char **argv)
{
	const int nr = sizeof(cases) / sizeof(cases[0]);
	int done = 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < nr; i++) {
		int wanted = argc < 2;

		for (int k = 1; k < argc; k++)
			wanted |= !strcmp(argv[k], cases[i].name);
		if (!wanted)
			continue;
		cases[i].run(cases[i].name, FIRST_ID + 10 * i);
		done++;
	}
	if (done != (argc < 2 ? nr : argc - 1)) {
		fprintf(stderr, "kmem_cases: no such case\n");
		return 2;
	}
	printf("1..%d\n", results());
	return 0;
}
