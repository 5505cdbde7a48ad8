// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmem_memory [ID]: a fixed load in a memory cgroup, and in beancounter ID, then
 * lines "NAME BYTES": what the cgroup's memory.stat, and the kernel's
 * SUnreclaim, have got more by it. Needs kmem_load.ko.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmem/kmem_load.h"
#include "must.h"

#define CGROUP		"/sys/fs/cgroup/kmem_memory/"
#define OBJECTS		100000
#define PROCESSES	100
#define TOUCHED		(64 << 20)	/* a page of each 2 MiB of it */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long value(const char *path, const char *name)
{
	long long v = -1, unit;
	char line[256], key[256];
	FILE *f = fopen(path, "r");

	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%255s %lld", key, &unit) == 2 && !strcmp(key, name))
			v = unit;
	}
	fclose(f);
	if (v < 0)
		die(name);
	return v;
}

struct memory { long long slab, pagetables, kernel_stack, unreclaim; };

static struct memory look(void)
{
	return (struct memory) {
		.slab = value(CGROUP "memory.stat", "slab"),
		.pagetables = value(CGROUP "memory.stat", "pagetables"),
		.kernel_stack = value(CGROUP "memory.stat", "kernel_stack"),
		.unreclaim = value("/proc/meminfo", "SUnreclaim:") * 1024,
	};
}

static void load(int fd, unsigned int kind, unsigned int size)
{
	struct kmem_load ask = { kind, 50, size, 1 };

	for (int i = 0; i < OBJECTS / 50; i++) {
		if (write(fd, &ask, sizeof(ask)) != sizeof(ask))
			die("/proc/kmem_load");
	}
}

int main(int argc, char **argv)
{
	struct memory start, objects, end;
	pid_t pid[PROCESSES];
	int fd = open("/proc/kmem_load", O_WRONLY);

	if (fd < 0)
		die("/proc/kmem_load");
	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755) < 0)
		die(CGROUP);
	put(CGROUP "cgroup.procs", "0");
	if (argc > 1 && syscall(474, atoi(argv[1]), -10001 /* this process */, 0) < 0)
		die("set_bcid");

	start = look();
	load(fd, KMEM_LOAD_OBJECTS, 1);
	load(fd, KMEM_LOAD_KMALLOC, 200);
	objects = look();
	printf("slab %lld\n", objects.slab - start.slab);
	printf("SUnreclaim %lld\n", objects.unreclaim - start.unreclaim);

	for (int i = 0; i < PROCESSES; i++) {
		int ready[2];
		char c;

		if (pipe(ready) < 0)
			die("pipe");
		pid[i] = fork();
		if (!pid[i]) {
			char *p = mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (p == MAP_FAILED)
				die("mmap");
			for (size_t k = 0; k < TOUCHED; k += 2 << 20)
				p[k] = 1;
			if (write(ready[1], "", 1) != 1)
				die("write");
			pause();
		}
		if (pid[i] < 0 || read(ready[0], &c, 1) != 1)
			die("fork");
		close(ready[0]);
		close(ready[1]);
	}
	end = look();
	printf("slab_of_processes %lld\n", end.slab - objects.slab);
	printf("pagetables %lld\n", end.pagetables - objects.pagetables);
	printf("kernel_stack %lld\n", end.kernel_stack - objects.kernel_stack);
	for (int i = 0; i < PROCESSES; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	return 0;
}
