/* As direct-beside-fork, but the buffer is made of whole pages, in which nothing else lies. */
#include "common.h"

static int fd;
static char *buffer;

static void *reader(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2; i++)
		must(pread(fd, buffer, 2 * PAGE, i * 2 * PAGE), "pread");
	return NULL;
}

int main(void)
{
	pthread_t thread;

	kernel();
	fd = direct(O_RDONLY);
	buffer = pages(2);
	memset(buffer, 1, 2 * PAGE);
	pthread_create(&thread, NULL, reader, NULL);
	pid_t pid = child();
	must(waitpid(pid, NULL, 0), "waitpid");
	pthread_join(thread, NULL);
	return 0;
}
