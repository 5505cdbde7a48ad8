/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What has to work before anything can be tested: otherwise the program ends by its
 * own die(), which is told what did not, with errno.
 */
#ifndef MUST_H
#define MUST_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void die(const char *what);

static inline long must(long ret, const char *what)
{
	if (ret == -1)
		die(what);
	return ret;
}
#define MUST(call)	must((long)(call), #call)

/* Write text to a file that is there, such as a knob of the kernel. */
static inline void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

#endif
