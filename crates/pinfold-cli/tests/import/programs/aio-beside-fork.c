/* A read by io_submit into a part of a page is under way when its program forks. */
#include "aio.h"

int main(void)
{
	kernel();
	int fd = direct(O_RDONLY);
	char *buffer = pages(1);
	memset(buffer, 1, PAGE);
	aio_context_t context = start();
	submit(context, fd, buffer, 512);
	pid_t pid = child();
	buffer[1024] = 2;
	reap(context);
	must(waitpid(pid, NULL, 0), "waitpid");
	return 0;
}
