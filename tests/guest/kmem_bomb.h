/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What piles up kernel objects of one kind, each in a tenant of its own, and
 * what the programs that use it have in common.
 */
#ifndef KMEM_BOMB_H
#define KMEM_BOMB_H

#include <stdint.h>
#include <sys/types.h>
#include <linux/beancounter.h>

#define KIB		1024L
#define MIB		(1024 * KIB)

/* In the place of an errno: refused by SIGKILL, as a page fault has none. */
#define BY_KILL		1000

struct bomb {
	const char *name;
	/*
	 * Piles up until the kernel refuses: the errno, or BY_KILL; 0 if it had
	 * more than enough and was not refused.
	 */
	int (*fill)(void);
	int refused[4];		/* how it may be refused, 0 at the end */
	/* Where 24 MiB take too long, MiB; 0: 24. */
	int mib;
	/* Something else than kmemsize bounds it, at so many bytes. */
	long other_bound;
	/*
	 * What grows with it and is not charged, as Documentation/kmem-omissions.txt
	 * says: names of caches, with wildcards; "percpu" is percpu memory with its
	 * tables.
	 */
	const char *named[6];
};

extern const struct bomb bombs[];
extern const int nr_bombs;

/* A process that is the init of its own namespaces, in a beancounter. */
struct tenant {
	pid_t pid;
	int go;			/* eventfds: it may begin, it has come so far */
	int done;
	struct tenant_answer {
		volatile int refused;
	} *answer;
};

/* Starts it, with namespaces and a tmpfs, and lets it wait. */
void tenant_start(struct tenant *t, unsigned int id, long limit, const struct bomb *bomb);
/* Lets it pile up: how it was refused; -1 if it died or took too long. It holds all then. */
int tenant_fill(struct tenant *t);
/* Kills it with all that it has started; whether it was alive. */
int tenant_kill(struct tenant *t);

/* Ends the program: what failed was no part of what is shown. */
__attribute__((noreturn)) void die(const char *what);
/* A line of the result. */
void result(int good, const char *format, ...) __attribute__((format(printf, 2, 3)));
int results(void);

void put(const char *path, const char *text);
__attribute__((noreturn)) void hold(void);
void signal_event(int fd);
/* 0 if there was no event in so many seconds. */
int wait_event(int fd, int seconds);

int set_limit(unsigned int id, uint64_t barrier, uint64_t limit);
void must_limit(unsigned int id, uint64_t barrier, uint64_t limit);
struct bc_stat stat_of(unsigned int id);
void enter_bc(unsigned int id);
/* Whether what is held is what is found in memory, of all beancounters, of which id is one. */
int balanced(unsigned int id);
/* Whether nothing is held, after at most a minute: some is freed by RCU or by a worker. */
int given_back(unsigned int id);

#endif
